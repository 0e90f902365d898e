"""Inputs of the propagation decoder in training, and the metrics of its predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.embedded.network import MultimaskOutput, Network
from napari_sam3.engine.backends.embedded.prompt_encoder import halved
from napari_sam3.training import propagation_rounds
from napari_sam3.training.prompt_rounds import RunningMetrics
from napari_sam3.training.propagation_rounds import PropagationRound, PropagationRounds
from napari_sam3.training.propagation_samples import (
    PropagationBatch,
    collate,
    draw_propagation_samples,
    fixed_view,
)


@pytest.fixture
def batch() -> PropagationBatch:
    """A still square, propagated four times; the last is too far from its first position."""
    triplet = np.zeros((3, 6, 256, 256), np.uint8)
    triplet[:, :4, 110:140, 110:140] = np.array([200, 200, 200, 5])[:, None, None]
    view = fixed_view(triplet)
    propagated = draw_propagation_samples(np.random.default_rng(0), view, 4)
    return collate([(view, [*propagated[:3], replace(propagated[3], is_near=False)])])


class GrowingDecoder(torch.nn.Module):
    """Predicts every object a little larger than it was, and keeps its inputs."""

    def __init__(self, presence: float = 4.0) -> None:
        super().__init__()
        self.inputs = []
        self.presence = presence

    def forward(self, fine, coarse, planes, memory, first):
        self.inputs.append((planes[:, 6].clone(), memory, first))
        larger = torch.nn.functional.max_pool2d(planes[:, 6:], 3, 1, 1)
        presence = torch.full((len(planes),), self.presence)
        return MultimaskOutput(
            (larger * 8).repeat(1, 3, 1, 1), torch.zeros(len(planes), 3), presence
        )


def network_of(propagation_decoder: torch.nn.Module) -> Network:
    network = Network().requires_grad_(False).eval()
    network.propagation_decoder = propagation_decoder
    return network


def rounds_of(network: Network, batch: PropagationBatch) -> list[PropagationRound]:
    rounds = PropagationRounds(network, batch, torch.device("cpu"))
    return list(rounds.rounds(np.random.default_rng(0)))


def test_objects_are_propagated_to_the_previous_and_then_to_the_current_frame(batch):
    rounds = rounds_of(network_of(GrowingDecoder()), batch)

    assert [round_.step for round_ in rounds] == [0, 1]
    assert [len(round_.indices) for round_ in rounds] == [3, 4]
    assert all(round_.loss.total.isfinite() for round_ in rounds)


def test_objects_are_propagated_from_the_mask_on_the_previous_frame(batch, monkeypatch):
    monkeypatch.setattr(propagation_rounds, "OWN_MASK_SHARE", 1.0)
    propagation_decoder = GrowingDecoder()

    rounds_of(network_of(propagation_decoder), batch)

    (first, *_), (current, memory, origin) = propagation_decoder.inputs
    grown = (first > 0).sum((1, 2))
    assert ((current[:3] > 0).sum((1, 2)) > grown).all()
    assert memory.mask[:3].sum() > origin.mask[:3].sum()


def test_an_object_that_is_not_detected_is_propagated_from_its_rough_mask(batch, monkeypatch):
    monkeypatch.setattr(propagation_rounds, "OWN_MASK_SHARE", 1.0)
    propagation_decoder = GrowingDecoder(presence=-4.0)

    rounds_of(network_of(propagation_decoder), batch)

    rough = np.stack([halved(sample.previous_mask) for sample in batch.samples])
    assert propagation_decoder.inputs[1][0].numpy() == pytest.approx(rough * 2 - 1)


def test_metrics_are_named_by_step(batch):
    metrics = RunningMetrics()

    for round_ in rounds_of(network_of(GrowingDecoder()), batch):
        round_.add_to(metrics)

    assert set(metrics.means()) == {"propagate0", "propagate1", "present0", "present1"}
    assert metrics.means()["present1"] == 1


def test_only_the_propagation_decoder_is_trained(batch):
    network = Network().requires_grad_(False).eval()
    network.propagation_decoder.requires_grad_(True)

    sum(round_.loss.total for round_ in rounds_of(network, batch)).backward()

    assert network.propagation_decoder.origin4.weight.grad is not None
    assert network.encoder.dense.weight.grad is None

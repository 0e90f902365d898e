"""How a follower is asked, and how its answers are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.embedded.decoder_queries import halved
from napari_sam3.engine.backends.embedded.network import Decoded, Network
from napari_sam3.training import propagation_rounds as chasing
from napari_sam3.training.propagation_rounds import PropagationRounds
from napari_sam3.training.propagation_samples import (
    PropagationBatch,
    assembled,
    draw_propagated,
    fixed_view,
)
from napari_sam3.training.trainer import RunningMetrics


@pytest.fixture
def batch() -> PropagationBatch:
    """A still square, followed four times; the last is too far from its first place."""
    triplet = np.zeros((3, 6, 256, 256), np.uint8)
    triplet[:, :4, 110:140, 110:140] = np.array([200, 200, 200, 5])[:, None, None]
    view = fixed_view(triplet)
    followed = draw_propagated(np.random.default_rng(0), view, 4)
    return assembled([(view, [*followed[:3], replace(followed[3], is_near=False)])])


class Sketcher(torch.nn.Module):
    """Finds every object a little larger than it was, and keeps what it was told."""

    def __init__(self, presence: float = 4.0) -> None:
        super().__init__()
        self.told = []
        self.presence = presence

    def forward(self, fine, coarse, maps, memory, first):
        self.told.append((maps[:, 6].clone(), memory, first))
        larger = torch.nn.functional.max_pool2d(maps[:, 6:], 3, 1, 1)
        presence = torch.full((len(maps),), self.presence)
        return Decoded((larger * 8).repeat(1, 3, 1, 1), torch.zeros(len(maps), 3), presence)


def network_of(propagation_decoder: torch.nn.Module) -> Network:
    network = Network().requires_grad_(False).eval()
    network.propagation_decoder = propagation_decoder
    return network


def asked(network: Network, batch: PropagationBatch) -> list[chasing.Found]:
    return list(
        PropagationRounds(network, batch, torch.device("cpu")).found(np.random.default_rng(0))
    )


def test_objects_are_sought_on_the_frame_before_and_then_on_the_present_one(batch):
    found = asked(network_of(Sketcher()), batch)

    assert [one.step for one in found] == [0, 1]
    assert [len(one.asked) for one in found] == [3, 4]
    assert all(one.judged.loss.isfinite() for one in found)


def test_what_was_drawn_on_the_way_is_gone_on_from(batch, monkeypatch):
    monkeypatch.setattr(chasing, "OWN", 1.0)
    propagation_decoder = Sketcher()

    asked(network_of(propagation_decoder), batch)

    (first, *_), (now, memory, origin) = propagation_decoder.told
    grown = (first > 0).sum((1, 2))
    assert ((now[:3] > 0).sum((1, 2)) > grown).all()
    assert memory.mask[:3].sum() > origin.mask[:3].sum()


def test_what_was_not_found_is_followed_as_it_was(batch, monkeypatch):
    monkeypatch.setattr(chasing, "OWN", 1.0)
    propagation_decoder = Sketcher(presence=-4.0)

    asked(network_of(propagation_decoder), batch)

    rough = np.stack([halved(one.before) for one in batch.samples])
    assert propagation_decoder.told[1][0].numpy() == pytest.approx(rough * 2 - 1)


def test_answers_are_counted_by_step(batch):
    metrics = RunningMetrics()

    for one in asked(network_of(Sketcher()), batch):
        one.count(metrics)

    assert set(metrics.means()) == {"follow0", "follow1", "seen0", "seen1"}
    assert metrics.means()["seen1"] == 1


def test_nothing_but_the_follower_learns(batch):
    network = Network().requires_grad_(False).eval()
    network.propagation_decoder.requires_grad_(True)

    sum(one.judged.loss for one in asked(network, batch)).backward()

    assert network.propagation_decoder.origin4.weight.grad is not None
    assert network.encoder.dense.weight.grad is None

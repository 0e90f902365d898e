"""The masks that a network is prompted with in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.embedded.network import MultimaskOutput, Network
from napari_sam3.training.prompt_rounds import PromptRounds
from napari_sam3.training.prompt_samples import PromptBatch, collate, draw_sample, fixed_view


@pytest.fixture
def batch() -> PromptBatch:
    """A still square, propagated three times; the second time from the network's own mask."""
    pair = np.zeros((2, 6, 256, 256), np.uint8)
    pair[:, :4, 110:140, 110:140] = np.array([200, 200, 200, 5])[:, None, None]
    view, rng = fixed_view(pair), np.random.default_rng(0)
    samples = [draw_sample(rng, view, propagated_share=1) for _ in range(3)]
    is_own = (False, True, False)
    propagated = [replace(s, is_own_mask=own) for s, own in zip(samples, is_own, strict=True)]
    return collate([(view, propagated)], propagated_views=1)


class SquareNetwork(Network):
    """Predicts the same square of 20 x 20 cells for every prompt."""

    def decode(self, fine, coarse, prompts, memory=None):
        logits = torch.full((len(prompts), 3, 56, 56), -5.0)
        logits[:, :, 10:30, 10:30] = 5
        return MultimaskOutput(logits, torch.zeros(len(prompts), 3), torch.zeros(len(prompts)))


def prompted(batch: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return the previous masks that the decoder gets: as prompt planes, and as memory."""
    given = []

    class RecordingNetwork(SquareNetwork):
        def decode(self, fine, coarse, prompts, memory=None):
            memory_masks = memory.mask[:, 0].float().numpy().copy()
            given.append((prompts[:, 6].numpy().copy(), memory_masks))
            return super().decode(fine, coarse, prompts, memory)

    rounds = PromptRounds(RecordingNetwork(), batch, torch.device("cpu"))
    list(rounds.rounds(1, np.random.default_rng(0)))
    return given[-1]


def test_objects_are_propagated_from_their_mask_or_from_that_of_the_network(batch):
    planes, memory_masks = prompted(batch)

    for number, sample in enumerate(batch.samples):
        is_own = (planes[number, 10:30, 10:30] > 0).all() and planes[number].mean() < 0
        assert is_own == sample.is_own_mask
        assert (memory_masks[number, 5:15, 5:15] == 1).all() == sample.is_own_mask
    assert planes[0] == pytest.approx(batch.samples[0].prompt_planes[6])


def test_an_object_the_network_does_not_detect_is_propagated_from_its_mask(batch, monkeypatch):
    nothing = MultimaskOutput(torch.full((1, 3, 56, 56), -5.0), torch.zeros(1, 3), torch.zeros(1))
    decode = SquareNetwork.decode
    monkeypatch.setattr(
        SquareNetwork,
        "decode",
        lambda self, *a, **k: nothing if len(a[0]) == 1 else decode(self, *a, **k),
    )

    planes, _ = prompted(batch)

    assert planes[1] == pytest.approx(batch.samples[1].prompt_planes[6])

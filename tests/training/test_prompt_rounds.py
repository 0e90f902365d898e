"""What a network is prompted with in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.embedded.network import Decoded, Network
from napari_sam3.training.prompt_rounds import Prompting
from napari_sam3.training.prompt_samples import Batch, assembled, draw_sample, fixed_view


@pytest.fixture
def batch() -> Batch:
    """A still square, followed three times; the network outlines it itself the second time."""
    pair = np.zeros((2, 6, 256, 256), np.uint8)
    pair[:, :4, 110:140, 110:140] = np.array([200, 200, 200, 5])[:, None, None]
    view, rng = fixed_view(pair), np.random.default_rng(0)
    samples = [draw_sample(rng, view, following=1) for _ in range(3)]
    redrawn = (False, True, False)
    followed = [replace(s, redrawn=own) for s, own in zip(samples, redrawn, strict=True)]
    return assembled([(view, followed)], following=1)


class Sketcher(Network):
    """Outlines everything as the same 20 x 20 cells."""

    def decode(self, fine, coarse, maps, memory=None):
        logits = torch.full((len(maps), 3, 56, 56), -5.0)
        logits[:, :, 10:30, 10:30] = 5
        return Decoded(logits, torch.zeros(len(maps), 3), torch.zeros(len(maps)))


def prompted(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """What the decoder is told of the masks before: on the prompt maps, and in memory."""
    seen = []

    class Listening(Sketcher):
        def decode(self, fine, coarse, maps, memory=None):
            seen.append((maps[:, 6].numpy().copy(), memory.mask[:, 0].float().numpy().copy()))
            return super().decode(fine, coarse, maps, memory)

    list(Prompting(Listening(), batch, torch.device("cpu")).rounds(1, np.random.default_rng(0)))
    return seen[-1]


def test_objects_are_followed_from_where_they_were_or_from_the_networks_own_outline(batch):
    maps, remembered = prompted(batch)

    for number, sample in enumerate(batch.samples):
        is_own = (maps[number, 10:30, 10:30] > 0).all() and maps[number].mean() < 0
        assert is_own == sample.redrawn
        assert (remembered[number, 5:15, 5:15] == 1).all() == sample.redrawn
    assert maps[0] == pytest.approx(batch.samples[0].maps[6])


def test_what_the_network_does_not_find_is_followed_as_it_was(batch, monkeypatch):
    nothing = Decoded(torch.full((1, 3, 56, 56), -5.0), torch.zeros(1, 3), torch.zeros(1))
    found = Sketcher.decode
    monkeypatch.setattr(
        Sketcher,
        "decode",
        lambda self, *a, **k: nothing if len(a[0]) == 1 else found(self, *a, **k),
    )

    maps, _ = prompted(batch)

    assert maps[1] == pytest.approx(batch.samples[1].maps[6])

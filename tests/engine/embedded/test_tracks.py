"""What is remembered of an object, and when it has left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam3.engine.embedded import tracks
from napari_sam3.engine.embedded.crops import Crop
from napari_sam3.engine.embedded.questions import Guess
from napari_sam3.engine.embedded.tracks import Track, as_drawn, presence_of

CROP = Crop.around(56, 56, 1.0)
BRIGHT = Track(CROP, torch.zeros(1, 64, 28, 28), np.zeros((112, 112), np.float32), contrast=0.5)


def guess() -> Guess:
    """An object of 10 x 10 cells, with a rim one cell wide that is just left out."""
    logits = np.full((56, 56), -5, np.float32)
    logits[19:31, 19:31] = -1
    logits[20:30, 20:30] = 3
    return Guess(CROP, logits, score=0.9, presence=0.8)


def test_outlines_lie_as_far_out_as_the_first_mask() -> None:
    generous = replace(BRIGHT, margin=1.5)

    found = as_drawn([guess()], generous)[0]

    assert np.count_nonzero(found.logits > 0) == 12 * 12


@pytest.mark.parametrize(
    ("share", "presence"), [(1.0, 0.8), (0.3, 0.8), (0.1, 0.0), (-0.2, 0.0), (-0.9, 0.8)]
)
def test_an_object_has_left_when_it_fades_and_not_when_it_turns_dark(
    monkeypatch: pytest.MonkeyPatch, share: float, presence: float
) -> None:
    monkeypatch.setattr(tracks, "contrast_of", lambda *_: share * BRIGHT.contrast)
    pyramid: Any = None  # only its brightness would be looked at

    assert presence_of(guess(), BRIGHT, pyramid) == presence


@pytest.mark.parametrize(("trust", "presence"), [(1.0, 0.8), (0.75, 0.0)])
def test_an_object_has_left_when_it_fits_badly_for_more_than_one_frame(
    trust: float, presence: float
) -> None:
    poor = replace(guess(), score=0.5)
    pyramid: Any = None  # only the brightness of what stands out would be looked at

    assert presence_of(poor, replace(BRIGHT, contrast=0.0, trust=trust), pyramid) == presence

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam3.engine import Prompts
from napari_sam3.engine.backends.embedded.decoder_queries import DecoderOutput
from napari_sam3.engine.backends.embedded.mask_decoding import (
    CORRECTED,
    FINER,
    crops_around,
    queries_on,
    ranked,
)
from napari_sam3.engine.backends.embedded.pyramid import ZOOM, Crop, Level, Pyramid


@pytest.fixture
def pyramid() -> Pyramid:
    nothing = torch.zeros(0)
    levels = tuple(Level(scale, nothing, nothing, nothing) for scale in (1.0, 0.5, 0.25))
    return Pyramid(torch.zeros(3, 256, 256), levels)


def square(side: float) -> np.ndarray:
    return np.array([100.0, 100.0, 100.0 + side, 100.0 + side])


def guess(scale: float, value: float, score: float) -> DecoderOutput:
    logits = np.full((56, 56), -5.0, np.float32)
    logits[20:36, 20:36] = value
    return DecoderOutput(Crop.around(100, 100, scale), logits, score)


def test_finest_scale_is_for_what_is_tiny(pyramid: Pyramid) -> None:
    scales = {side: [c.scale for c in crops_around(square(side), pyramid)] for side in (12, 24)}

    assert scales[12][0] == ZOOM
    assert ZOOM not in scales[24]


def test_corrections_are_looked_at_closer(pyramid: Pyramid) -> None:
    assert crops_around(square(24), pyramid, CORRECTED)[0].scale == ZOOM
    assert crops_around(square(60), pyramid, CORRECTED)[0].scale == 1.0
    assert crops_around(square(60), pyramid)[0].scale == 0.5


def test_box_is_asked_about_on_two_scales_and_a_correction_on_one(pyramid: Pyramid) -> None:
    boxed = Prompts(boxes=[square(40)])

    first = queries_on(boxed, None, pyramid)
    corrected = queries_on(boxed, guess(1.0, 3.0, 0.9), pyramid)

    assert [question.crop.scale for question in first] == [1.0, 0.5]
    assert len(corrected) == 1


def test_mean_of_two_scales_comes_first_for_a_box_and_never_for_a_click() -> None:
    guesses = [guess(1.0, 4.0, 0.8), guess(0.5, 2.0, 0.9)]

    of_box, *others = ranked(guesses, Prompts(boxes=[square(30)]))
    of_click = ranked(guesses, Prompts(points=[[100, 100]]))

    assert of_box.crop.scale == 1.0
    assert of_box.logits[28, 28] == pytest.approx((FINER * 4 + 2) / (FINER + 1))
    assert len(others) == 2
    assert len(of_click) == 2

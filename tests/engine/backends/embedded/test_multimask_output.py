from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Prompts
from napari_sam3.engine.backends.embedded.decoder_queries import DecoderOutput
from napari_sam3.engine.backends.embedded.feature_pyramid import Crop
from napari_sam3.engine.backends.embedded.multimask_output import FINER_WEIGHT, ranked


def output(scale: float, value: float, score: float) -> DecoderOutput:
    logits = np.full((56, 56), -5.0, np.float32)
    logits[20:36, 20:36] = value
    return DecoderOutput(Crop.around(100, 100, scale), logits, score)


def test_mean_of_two_scales_comes_first_for_a_box_and_never_for_a_click() -> None:
    outputs = [output(1.0, 4.0, 0.8), output(0.5, 2.0, 0.9)]

    of_box, *further = ranked(outputs, Prompts(boxes=[[100.0, 100.0, 130.0, 130.0]]))
    of_click = ranked(outputs, Prompts(points=[[100, 100]]))

    assert of_box.crop.scale == 1.0
    assert of_box.logits[28, 28] == pytest.approx((FINER_WEIGHT * 4 + 2) / (FINER_WEIGHT + 1))
    assert len(further) == 2
    assert len(of_click) == 2

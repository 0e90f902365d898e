from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam3.engine.sam import drawing
from napari_sam3.engine.sam.drawing import draw, draw_readings
from napari_sam3.engine.sam.pictures import Scaling
from tests.tiny_models import load_tiny

SHAPE = (90, 140)


@pytest.fixture
def logits():
    return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_masks_are_those_of_the_stock_processor(tiny_sam2, logits):
    processor = load_tiny("Sam2Processor", tiny_sam2)
    expected = processor.post_process_masks([logits[None]], [SHAPE])[0][0]

    masks = [draw(one, Scaling.squeezed(SHAPE, 128)) for one in logits]

    np.testing.assert_array_equal(masks, expected)


def test_masks_of_a_fitted_image_are_those_of_the_stock_processor(tiny_sam1, logits):
    processor = load_tiny("SamProcessor", tiny_sam1)
    scaling = Scaling.fitted(SHAPE, 128)
    sizes = {"original_sizes": [SHAPE], "reshaped_input_sizes": [scaling.size]}
    expected = processor.image_processor.post_process_masks([logits[None]], **sizes)[0][0]

    masks = [draw(one, scaling) for one in logits]

    np.testing.assert_array_equal(masks, expected)


def test_nothing_is_drawn_where_all_logits_are_negative():
    mask = draw(torch.full((32, 32), -3.0), Scaling.squeezed(SHAPE, 128))

    assert mask.shape == SHAPE
    assert not mask.any()


def test_readings_are_ordered_by_score_and_keep_their_logits(logits):
    logits = logits + torch.tensor([-1.0, 1.0, 0.0])[:, None, None]

    readings, known = draw_readings(logits, [0.2, 0.5, 0.9], Scaling.squeezed(SHAPE, 128))

    assert [reading.name for reading in readings] == ["part", "whole", "sub-part"]
    for name, index in (("sub-part", 0), ("whole", 1), ("part", 2)):
        torch.testing.assert_close(known[name], logits[index])


def test_masks_are_enlarged_one_by_one(logits, monkeypatch):
    sizes = []
    enlarge = drawing.F.interpolate

    def counted(maps, *args, **how):
        sizes.append(maps.shape[:2])
        return enlarge(maps, *args, **how)

    monkeypatch.setattr(drawing.F, "interpolate", counted)

    draw_readings(logits, [0.1, 0.2, 0.3], Scaling.squeezed(SHAPE, 128))

    assert sizes == [(1, 1)] * 3


def test_an_answer_keeps_nothing_of_others(logits):
    together = logits.expand(16, -1, -1, -1).clone()

    _, known = draw_readings(together[3], [0.1, 0.2, 0.3], Scaling.squeezed(SHAPE, 128))

    for one in known.values():
        assert one.untyped_storage().nbytes() == one.nbytes

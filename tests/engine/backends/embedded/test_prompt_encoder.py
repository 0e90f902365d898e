from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam3.engine import Prompts
from napari_sam3.engine.backends.embedded.decoder_queries import DecoderOutput
from napari_sam3.engine.backends.embedded.feature_pyramid import (
    ZOOM,
    Crop,
    FeatureLevel,
    FeaturePyramid,
)
from napari_sam3.engine.backends.embedded.prompt_encoder import (
    CORRECTED_SIZE,
    add_click,
    crops_around,
    encode_prompts,
    prompt_queries,
)


def test_without_prompts_all_planes_are_zero():
    planes = encode_prompts()

    assert planes.shape == (7, 56, 56)
    assert planes.dtype == np.float32
    assert not planes.any()


@pytest.mark.parametrize(("is_positive", "narrow"), [(True, 0), (False, 2)])
def test_a_click_is_a_spot_around_its_pixel(is_positive, narrow):
    planes = encode_prompts([(40.5, 20.5)], [is_positive])

    assert np.unravel_index(planes[narrow].argmax(), (56, 56)) == (20, 10)
    assert planes[narrow, 20, 10] == 1
    assert planes[narrow + 1].sum() > planes[narrow].sum()
    assert not np.delete(planes, (narrow, narrow + 1), axis=0).any()


def test_clicks_beyond_the_crop_leave_no_spot():
    planes = encode_prompts([(300, -200)], [True])

    assert planes.max() < 1e-6


def test_a_box_fills_the_cells_between_its_edges():
    planes = encode_prompts(box=(19.5, 39.5, 59.5, 79.5))

    rows, cols = np.nonzero(planes[4] > 0.5)
    assert (rows.min(), rows.max()) == (10, 29)
    assert (cols.min(), cols.max()) == (20, 39)


def test_previous_logits_are_limited_to_one():
    planes = encode_prompts(previous_logits=np.full((56, 56), 100.0))

    assert np.allclose(planes[5], 1)


def test_a_mask_is_negative_where_it_is_empty():
    mask = np.zeros((112, 112), bool)
    mask[:50, :30] = True

    plane = encode_prompts(mask=mask)[6]

    assert (plane[:25, :15] == 1).all()
    assert (plane[25:] == -1).all()


def test_a_further_click_is_drawn_beside_the_first():
    planes = encode_prompts([(10.5, 10.5)], [True])

    add_click(planes, (90.5, 90.5), True)

    assert planes[0, 5, 5] == 1
    assert planes[0, 45, 45] == 1


def test_every_click_needs_its_sign():
    with pytest.raises(ValueError, match="shorter"):
        encode_prompts([(1, 1), (2, 2)], [True])


@pytest.fixture
def pyramid() -> FeaturePyramid:
    nothing = torch.zeros(0)
    levels = tuple(FeatureLevel(scale, nothing, nothing, nothing) for scale in (1.0, 0.5, 0.25))
    return FeaturePyramid(torch.zeros(3, 256, 256), levels)


def square(side: float) -> np.ndarray:
    return np.array([100.0, 100.0, 100.0 + side, 100.0 + side])


def test_finest_scale_is_for_what_is_tiny(pyramid: FeaturePyramid) -> None:
    tiny, small = (
        [crop.scale for crop in crops_around(square(side), pyramid)] for side in (12, 24)
    )

    assert tiny[0] == ZOOM
    assert ZOOM not in small


def test_corrections_are_decoded_closer(pyramid: FeaturePyramid) -> None:
    assert crops_around(square(24), pyramid, CORRECTED_SIZE)[0].scale == ZOOM
    assert crops_around(square(60), pyramid, CORRECTED_SIZE)[0].scale == 1.0
    assert crops_around(square(60), pyramid)[0].scale == 0.5


def test_box_is_decoded_on_two_scales_and_a_correction_on_one(pyramid: FeaturePyramid) -> None:
    boxed = Prompts(boxes=[square(40)])
    logits = np.full((56, 56), -5.0, np.float32)
    logits[20:36, 20:36] = 3.0
    previous = DecoderOutput(Crop.around(100, 100, 1.0), logits, 0.9)

    first = prompt_queries(boxed, None, pyramid)
    corrected = prompt_queries(boxed, previous, pyramid)

    assert [query.crop.scale for query in first] == [1.0, 0.5]
    assert len(corrected) == 1

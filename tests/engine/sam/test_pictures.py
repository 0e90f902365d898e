from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam3.engine.sam.pictures import CENTRED, IMAGENET, Scaling, pixel_values
from tests.tiny_models import SAM2_SIDE, SAM3_SIDE, load_tiny

STOCK = [
    ("tiny_sam2", "Sam2Processor", IMAGENET, Scaling.squeezed, SAM2_SIDE),
    ("tiny_edgetam", "Sam2Processor", IMAGENET, Scaling.squeezed, SAM2_SIDE),
    ("tiny_sam3", "Sam3TrackerProcessor", CENTRED, Scaling.squeezed, SAM3_SIDE),
    ("tiny_sam1", "SamProcessor", IMAGENET, Scaling.fitted, SAM2_SIDE),
]
SHAPES = [(90, 140), (300, 210), (128, 128), (40, 30)]


@pytest.fixture(params=STOCK, ids=[folder for folder, *_ in STOCK])
def stock(request):
    folder, processor, colours, scaling, side = request.param
    loaded = load_tiny(processor, request.getfixturevalue(folder))
    return loaded, colours, lambda shape: scaling(shape, side)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_square_is_that_of_the_stock_processor_but_for_its_rounding(stock, shape):
    processor, colours, scaling = stock
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    expected = processor(images=image, return_tensors="pt").pixel_values

    square = pixel_values(image / np.float32(255), scaling(shape), colours, "cpu")

    step = 1 / 255 / min(colours.spread)  # of the 8 bits in which the stock processor resizes
    assert square.shape == expected.shape
    torch.testing.assert_close(square, expected, atol=1.01 * step, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_clicks_are_where_the_stock_processor_puts_them(stock, shape):
    processor, _, scaling = stock
    points = np.array([[0, 0], [12.0, 7.5], [shape[0] / 2, shape[1] / 2]])
    clicks = {"input_points": [[points[:, ::-1].tolist()]], "input_labels": [[[1, 1, 1]]]}
    image = np.zeros((*shape, 3), np.uint8)
    expected = processor(images=image, **clicks, return_tensors="pt").input_points

    found = scaling(shape).points(points)

    np.testing.assert_allclose(found, expected[0, 0], rtol=1e-5)


@pytest.mark.parametrize("shape", [(5000, 300), (64, 64), (7, 9000)])
@pytest.mark.parametrize("scale", [Scaling.squeezed, Scaling.fitted])
def test_clicks_on_the_corners_are_inside_after_the_model_has_added_half_a_pixel(shape, scale):
    scaling = scale(shape, 1024)
    corners = np.array([(-0.5, -0.5), (0, 0), np.array(shape) - 1, np.array(shape) - 0.5])

    rows, cols = (scaling.points(corners) + 0.5).T[::-1]

    assert (rows > 0).all()
    assert (rows < scaling.size[0]).all()
    assert (cols > 0).all()
    assert (cols < scaling.size[1]).all()


def test_a_fitted_image_keeps_its_proportions_and_lies_in_the_corner():
    scaling = Scaling.fitted((50, 100), 128)

    square = pixel_values(np.ones((50, 100, 3), np.float32), scaling, CENTRED, "cpu")

    assert scaling.size == (64, 128)
    assert (square[..., :64, :] == 1).all()
    assert (square[..., 64:, :] == 0).all()

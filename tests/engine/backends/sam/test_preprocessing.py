from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_sam3.engine import CancelledError, Engine, Prompts, Session
from napari_sam3.engine.backends.sam.preprocessing import (
    IMAGENET_NORMALISATION,
    SAM3_NORMALISATION,
    Resizing,
    preprocess,
)
from napari_sam3.engine.loading import load_backend
from tests.tiny_models import SAM2_SIDE, SAM3_SIDE, load_tiny, visits

STOCK = [
    ("tiny_sam2", "Sam2Processor", IMAGENET_NORMALISATION, Resizing.to_square, SAM2_SIDE),
    ("tiny_edgetam", "Sam2Processor", IMAGENET_NORMALISATION, Resizing.to_square, SAM2_SIDE),
    ("tiny_sam3", "Sam3TrackerProcessor", SAM3_NORMALISATION, Resizing.to_square, SAM3_SIDE),
    ("tiny_sam1", "SamProcessor", IMAGENET_NORMALISATION, Resizing.longest_side, SAM2_SIDE),
]
SHAPES = [(90, 140), (300, 210), (128, 128), (40, 30)]


@pytest.fixture(params=STOCK, ids=[folder for folder, *_ in STOCK])
def stock(request):
    folder, processor, normalisation, to_resizing, side = request.param
    loaded = load_tiny(processor, request.getfixturevalue(folder))
    return loaded, normalisation, lambda shape: to_resizing(shape, side)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_square_is_that_of_the_stock_processor_but_for_its_rounding(stock, shape):
    processor, normalisation, resizing = stock
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    expected = processor(images=image, return_tensors="pt").pixel_values

    square = preprocess(image / np.float32(255), resizing(shape), normalisation, "cpu")

    step = 1 / 255 / min(normalisation.std)  # of the 8 bits in which the stock processor resizes
    assert square.shape == expected.shape
    torch.testing.assert_close(square, expected, atol=1.01 * step, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_points_are_those_of_the_stock_processor(stock, shape):
    processor, _, resizing = stock
    points = np.array([[0, 0], [12.0, 7.5], [shape[0] / 2, shape[1] / 2]])
    clicks = {"input_points": [[points[:, ::-1].tolist()]], "input_labels": [[[1, 1, 1]]]}
    image = np.zeros((*shape, 3), np.uint8)
    expected = processor(images=image, **clicks, return_tensors="pt").input_points

    points_on_square = resizing(shape).points(points)

    np.testing.assert_allclose(points_on_square, expected[0, 0], rtol=1e-5)


@pytest.mark.parametrize("shape", [(5000, 300), (64, 64), (7, 9000)])
@pytest.mark.parametrize("to_resizing", [Resizing.to_square, Resizing.longest_side])
def test_points_on_the_corners_are_inside_after_the_model_has_added_half_a_pixel(
    shape, to_resizing
):
    resizing = to_resizing(shape, 1024)
    corners = np.array([(-0.5, -0.5), (0, 0), np.array(shape) - 1, np.array(shape) - 0.5])

    rows, cols = (resizing.points(corners) + 0.5).T[::-1]

    assert (rows > 0).all()
    assert (rows < resizing.size[0]).all()
    assert (cols > 0).all()
    assert (cols < resizing.size[1]).all()


def test_a_padded_image_keeps_its_proportions_and_lies_in_the_corner():
    resizing = Resizing.longest_side((50, 100), 128)

    square = preprocess(np.ones((50, 100, 3), np.float32), resizing, SAM3_NORMALISATION, "cpu")

    assert resizing.size == (64, 128)
    assert (square[..., :64, :] == 1).all()
    assert (square[..., 64:, :] == 0).all()


CLICK = Prompts([(40, 50)])
IMAGE = np.random.default_rng(0).integers(0, 255, (96, 120), np.uint8)
LAYERS = {
    "tiny_sam1": lambda model: model.vision_encoder.layers,
    "tiny_sam2": lambda model: model.vision_encoder.backbone.blocks,
    "tiny_sam3": lambda model: model.trunk.layers,
    "tiny_edgetam": lambda model: list(model.vision_encoder.backbone.timm_model.children()),
}


@pytest.fixture(scope="module", params=LAYERS)
def loaded(request: pytest.FixtureRequest) -> tuple[Engine, list[nn.Module]]:
    """Return an engine of each family, and the layers of its image encoder."""
    folder: Path = request.getfixturevalue(request.param)
    backend: Any = load_backend(folder, "cpu")
    return Engine(backend), list(LAYERS[request.param](backend._model))


def after(layer: nn.Module, call: Any) -> Any:
    return layer.register_forward_hook(lambda *_: call())


def test_each_layer_reports_how_many_are_done(loaded: tuple[Engine, list[nn.Module]]) -> None:
    engine, layers = loaded
    session = engine.open(IMAGE)
    reported: list[tuple[int, int]] = []
    hooks = [after(layer, lambda: reported.append(steps(session))) for layer in layers]

    session.segment(0, CLICK)

    for hook in hooks:
        hook.remove()
    assert reported == [(done, len(layers)) for done in range(len(layers))]


def test_cancel_ends_before_the_next_layer(loaded: tuple[Engine, list[nn.Module]]) -> None:
    engine, layers = loaded
    session = engine.open(IMAGE)
    hook = after(layers[0], session.stop_encoding)

    with visits(layers[1]) as reached, pytest.raises(CancelledError):
        session.segment(0, CLICK)

    hook.remove()
    assert reached == []


def test_same_click_is_segmented_after_a_cancel(loaded: tuple[Engine, list[nn.Module]]) -> None:
    engine, layers = loaded
    session = engine.open(IMAGE)
    hook = after(layers[0], session.stop_encoding)
    with pytest.raises(CancelledError):
        session.segment(0, CLICK)
    hook.remove()

    with visits(layers[-1]) as encoded:
        session.segment(0, CLICK)
        session.segment(0, Prompts([(40, 50), (10, 10)], [True, False]))

    assert len(encoded) == 1


def steps(session: Session) -> tuple[int, int]:
    encoding_progress = session.encoding_progress
    assert encoding_progress is not None
    return encoding_progress.done, encoding_progress.total

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam3.io import OpenedImage
from napari_sam3.layers.opened_images import layers_of
from tests.large import SIDE, pyramid


def opened(pixels: np.ndarray, axes: str, **others) -> OpenedImage:
    scale = {"z": 2.0, "y": 0.5, "x": 0.25}
    return OpenedImage(
        "embryo",
        (pixels, pixels),
        axes,
        tuple(scale.get(axis, 1.0) for axis in axes),
        tuple("micrometer" if axis in scale else "pixel" for axis in axes),
        tuple(10.0 if axis == "y" else 0.0 for axis in axes),
    )


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, (3, 2, 20, 30), np.uint16)


def test_every_channel_is_a_layer_with_the_geometry_of_the_file(pixels: np.ndarray) -> None:
    first, second = layers_of(opened(pixels, "zcyx"))

    assert (first.name, second.name) == ("embryo 1", "embryo 2")
    assert first.axis_labels == ("z", "y", "x")
    np.testing.assert_allclose(first.scale, (2, 0.5, 0.25))
    np.testing.assert_allclose(first.translate, (0, 10, 0))
    assert [str(unit) for unit in first.units] == ["micrometer"] * 3
    assert first.multiscale
    np.testing.assert_array_equal(second.data[0], pixels[:, 1])
    assert (first.blending, first.colormap.name) == ("additive", "magenta")


def test_an_image_without_channels_is_one_gray_layer(pixels: np.ndarray) -> None:
    (layer,) = layers_of(opened(pixels[:, 0], "zyx"))

    assert (layer.name, layer.colormap.name, layer.rgb) == ("embryo", "gray", False)


def test_a_colour_image_is_one_layer() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)

    (layer,) = layers_of(opened(photo, "yxs"))

    assert layer.rgb
    assert layer.axis_labels == ("y", "x")


def test_showing_a_large_image_reads_its_smallest_size_alone() -> None:
    levels = pyramid()
    image = OpenedImage("slide", tuple(levels), "yx", (1.0, 1.0), ("pixel", "pixel"))

    ViewerModel().add_layer(layers_of(image)[0])

    assert [sum(level.reads) for level in levels[:4]] == [0] * 4
    assert max(levels[4].reads) <= (SIDE // 16) ** 2

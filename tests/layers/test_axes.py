from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes

from napari_sam3.engine import FramesError
from napari_sam3.layers.axes import (
    StackAxes,
    data_shape,
    default_stack_axis,
    geometry,
    split_coordinates,
    stack_axis_choices,
)

COS, SIN = np.cos(0.4), np.sin(0.4)
GEOMETRIES: dict[str, dict[str, Any]] = {
    "scaled": {"scale": (3, 0.5, 0.5)},
    "translated": {"scale": (3, 0.5, 0.5), "translate": (7, -20, 100)},
    "rotated": {"scale": (3, 0.5, 0.25), "rotate": [[1, 0, 0], [0, COS, -SIN], [0, SIN, COS]]},
    "sheared": {"scale": (3, 0.5, 0.5), "shear": (0, 0, 0.3)},
    "mirrored": {"scale": (3, -0.5, 0.5)},
    "affine": {
        "scale": (3, 0.5, 0.5),
        "rotate": (10, 20, 30),
        "affine": [[1, 0, 0, 5], [0.1, 2, 0, 0], [0, 0.2, 1, -3], [0, 0, 0, 1]],
    },
}
UNITS = {"axis_labels": ("z", "y", "x"), "units": ("um", "um", "um")}


def corners(shape: tuple[int, ...]) -> np.ndarray:
    return np.array(list(np.ndindex(*(2,) * len(shape)))) * (np.array(shape) - 1)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("name", GEOMETRIES)
def test_new_layers_lie_exactly_on_the_image(name: str) -> None:
    image = Image(np.zeros((4, 20, 30)), **GEOMETRIES[name], **UNITS)

    layers = [
        Labels(np.zeros((4, 20, 30), np.uint16), **geometry(image)),
        Points(ndim=3, **geometry(image)),
        Shapes(ndim=3, **geometry(image)),
    ]

    for layer in layers:
        for corner in corners(image.data.shape):
            np.testing.assert_allclose(layer.data_to_world(corner), image.data_to_world(corner))
        assert layer.axis_labels == image.axis_labels
        assert layer.units == image.units


def test_color_is_no_axis() -> None:
    image = Image(np.zeros((5, 20, 30, 3), np.uint8), rgb=True)

    assert data_shape(image) == (5, 20, 30)


def test_a_pyramid_is_read_at_full_resolution() -> None:
    levels = [np.zeros((5, 64, 64)), np.zeros((5, 32, 32))]

    assert data_shape(Image(levels, multiscale=True)) == (5, 64, 64)


def test_choices_carry_the_labels_of_the_image() -> None:
    image = Image(np.zeros((2, 3, 9, 9)), axis_labels=("T", "z", "y", "x"))

    assert stack_axis_choices(image) == [("T", 0), ("z", 1)]


def test_axes_without_labels_are_numbered() -> None:
    assert stack_axis_choices(Image(np.zeros((2, 3, 9, 9)))) == [("axis 0", 0), ("axis 1", 1)]


def test_a_single_image_has_no_stack_axis() -> None:
    image = Image(np.zeros((9, 9)))

    assert stack_axis_choices(image) == []
    assert default_stack_axis(image) is None


@pytest.mark.parametrize(
    ("shape", "labels", "expected"),
    [
        ((9, 3, 8, 8), ("z", "t", "y", "x"), 1),
        ((2, 9, 8, 8), ("c", "Z", "y", "x"), 1),
        ((2, 9, 8, 8), None, 1),
        ((5, 5, 8, 8), None, 0),
        ((1, 9, 8, 8), ("t", "z", "y", "x"), 1),
        ((1, 8, 8), ("t", "y", "x"), 0),
    ],
)
def test_time_then_depth_then_the_longest_axis_is_the_stack(
    shape: tuple[int, ...], labels: tuple[str, ...] | None, expected: int
) -> None:
    image = Image(np.zeros(shape), axis_labels=labels)

    assert default_stack_axis(image) == expected


def test_the_stack_is_taken_where_the_viewer_stands() -> None:
    image = Image(np.zeros((5, 6, 20, 30)), scale=(2, 3, 1, 1), translate=(10, 0, 0, 0))

    axes = StackAxes.of(image, 1, (10 + 2 * 3.2, 9, 4, 4))

    assert axes.position == (3,)
    assert axes.count == 6
    assert axes.plane == (20, 30)
    assert axes.frame_index(4) == (3, 4)
    assert axes.frame_of((3, 4)) == 4


def test_a_viewer_with_more_axes_than_the_image_is_understood() -> None:
    image = Image(np.zeros((5, 20, 30)))

    axes = StackAxes.of(image, None, (99, 3, 0, 0))

    assert axes.position == (3,)
    assert axes.count == 1
    assert axes.frame_index(0) == (3,)


def test_a_viewer_beyond_the_image_stands_at_its_edge() -> None:
    image = Image(np.zeros((5, 6, 20, 30)))

    assert StackAxes.of(image, 0, (2, 40, 0, 0)).position == (5,)


@pytest.mark.parametrize("axis", [1, 2, -1, 7])
def test_rows_and_columns_are_refused_as_stack_axis(axis: int) -> None:
    image = Image(np.zeros((5, 20, 30)))

    with pytest.raises(FramesError, match="rows and columns"):
        StackAxes.of(image, axis, (0, 0, 0))


def test_a_stack_holds_only_its_own_frames() -> None:
    axes = StackAxes((5, 6, 20, 30), frame_axis=1, position=(3,))

    assert axes.holds((3, 0))
    assert not axes.holds((2, 0))
    assert not axes.holds((3, 6))
    assert not axes.holds(())


def test_a_single_image_holds_the_empty_place() -> None:
    axes = StackAxes((20, 30), None, ())

    assert axes.holds(())
    assert axes.frame_index(0) == ()


def test_coordinates_are_split_at_the_nearest_frame() -> None:
    axes = StackAxes((5, 6, 20, 30), 1, (3,))

    frame_indices, rows_cols = axes.split([(2.6, 0.4, 7.5, 8.25), (0, 5, 1, 2)])

    assert frame_indices == [(3, 0), (0, 5)]
    np.testing.assert_array_equal(rows_cols, [(7.5, 8.25), (1, 2)])


def test_what_is_not_a_number_is_on_no_frame() -> None:
    frame_indices, _ = split_coordinates([(np.nan, 1, 1), (np.inf, 1, 1)])

    assert frame_indices == [(-1,), (-1,)]


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_place_survives_the_way_through_the_world(name: str) -> None:
    image = Image(np.zeros((4, 20, 30)), **GEOMETRIES[name])

    axes = StackAxes.of(image, None, image.data_to_world((2, 11, 17)))

    assert axes.position == (2,)

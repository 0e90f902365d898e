from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.layers.outlines import Outline, OutlineKind, is_box, rasterized
from napari_sam3.layers.prompt_layers import PromptSnapshot

SQUARE = [(10, 10), (10, 20), (20, 20), (20, 10)]


def outline(kind: OutlineKind, vertices: list[tuple[float, ...]]) -> Outline:
    return Outline(np.array(vertices, float), kind, 1)


def turned(vertices: list[tuple[float, float]], angle: float) -> list[tuple[float, float]]:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return [tuple(row) for row in (np.array(vertices) - 15) @ turn.T + 15]


def test_a_rectangle_is_a_box() -> None:
    box = outline("rectangle", SQUARE)

    assert is_box(box)
    assert box.extent == (10, 10, 20, 20)


def test_a_turned_rectangle_is_no_box_but_encloses_the_same_area() -> None:
    diamond = outline("rectangle", turned(SQUARE, np.pi / 4))

    assert not is_box(diamond)
    assert rasterized([diamond], (40, 40)).sum() == pytest.approx(100, abs=15)


@pytest.mark.parametrize("kind", ["polygon", "path"])
def test_polygons_and_paths_are_filled(kind: OutlineKind) -> None:
    mask = rasterized([outline(kind, SQUARE)], (40, 40))

    assert mask[15, 15]
    assert mask.sum() == pytest.approx(100, abs=25)


@pytest.mark.parametrize("angle", [0, 0.7])
def test_an_ellipse_fills_its_box_by_a_quarter_of_pi(angle: float) -> None:
    corners = turned([(5, 10), (5, 20), (25, 20), (25, 10)], angle)

    mask = rasterized([outline("ellipse", corners)], (40, 40))

    assert mask.sum() == pytest.approx(np.pi * 5 * 10, rel=0.05)


def test_several_outlines_are_joined() -> None:
    far = [(row + 15, col) for row, col in SQUARE]

    mask = rasterized([outline("polygon", SQUARE), outline("polygon", far)], (40, 40))

    assert mask[15, 15]
    assert mask[30, 15]


def test_an_outline_is_clipped_to_the_image() -> None:
    mask = rasterized([outline("polygon", [(-5, -5), (-5, 5), (5, 5), (5, -5)])], (40, 40))

    assert mask[0, 0]
    assert mask.sum() <= 36


@pytest.mark.parametrize("kind", ["line", "path"])
def test_two_vertices_enclose_nothing_much(kind: OutlineKind) -> None:
    assert rasterized([outline(kind, [(3, 3), (3, 9)])], (40, 40)).sum() <= 7


def test_an_outline_is_on_the_frame_of_all_its_vertices() -> None:
    flat = outline("polygon", [(2.1, 1, 1), (1.9, 5, 5), (2, 1, 5)])
    tilted = outline("polygon", [(0, 1, 1), (3, 5, 5), (2, 1, 5)])

    assert flat.frame_index == (2,)
    assert tilted.frame_index is None


def state(
    *points: tuple[float, float, float], object_id: int = 1, outlines: tuple[Outline, ...] = ()
) -> PromptSnapshot:
    count = len(points)
    return PromptSnapshot(
        shape=(4, 20, 20),
        points=np.array(points, float).reshape(count, 3),
        objects=np.full(count, object_id),
        positive=np.ones(count, bool),
        outlines=outlines,
    )


def box(frame: int, size: float) -> Outline:
    corners = [(frame, 1, 1), (frame, 1, size), (frame, size, size), (frame, size, 1)]
    return Outline(np.array(corners, float), "rectangle", 1)


def test_points_that_are_no_numbers_are_left_out() -> None:
    prompts = state((1, np.nan, 5), (np.nan, 5, 5), (1, 6, 7), (1, 6, np.inf)).prompts()

    assert {key: value.points.tolist() for key, value in prompts.items()} == {((1,), 1): [[6, 7]]}


def test_points_on_no_frame_are_left_out() -> None:
    assert state((-1, 5, 5), (4, 5, 5)).prompts() == {}


def test_the_order_of_points_is_kept() -> None:
    prompts = state((1, 9, 9), (2, 5, 5), (1, 3, 3)).prompts()

    assert prompts[(1,), 1].points.tolist() == [[9, 9], [3, 3]]


def test_equal_states_do_not_differ() -> None:
    one = state((1, 5, 5), outlines=(box(2, 9),))

    assert one.keys_that_differ(state((1, 5, 5), outlines=(box(2, 9),))) == frozenset()


def test_states_differ_where_a_point_or_an_outline_does() -> None:
    one = state((0, 5, 5), (1, 5, 5), outlines=(box(2, 9), box(3, 9)))
    other = state((0, 5, 5), (1, 5, 6), outlines=(box(2, 8), box(3, 9)))

    assert one.keys_that_differ(other) == {((1,), 1), ((2,), 1)}


def test_states_differ_where_only_one_of_them_says_something() -> None:
    assert state((0, 5, 5)).keys_that_differ(state()) == {((0,), 1)}


def test_a_point_of_another_object_differs_for_both() -> None:
    differing = state((0, 5, 5)).keys_that_differ(state((0, 5, 5), object_id=2))

    assert differing == {((0,), 1), ((0,), 2)}

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import PromptError, Prompts
from tests.masks import mask_of

SHAPE = (20, 30)
OUTLINE = np.zeros(SHAPE, bool)
OUTLINE[5:9, 5:9] = True
PATCH = mask_of(np.ones((4, 4), bool), corner=(5, 5), shape=SHAPE)


def test_points_are_positive_unless_told_otherwise() -> None:
    assert Prompts(points=[(1, 2), (3, 4)]).positive.tolist() == [True, True]


def test_corners_of_a_box_come_in_any_order() -> None:
    assert Prompts(boxes=[(9, 2, 3, 8)]).boxes.tolist() == [[3, 2, 9, 8]]


def test_prompts_are_copies_and_read_only() -> None:
    points = np.ones((1, 2))
    prompts = Prompts(points)
    points[0, 0] = 5

    assert prompts.points[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        prompts.points[0, 0] = 5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": [(1, 2, 3)]}, "pair"),
        ({"points": [(1, 2)], "positive": [True, False]}, "give one each"),
        ({"boxes": [(1, 2)]}, "two corners"),
        ({"mask": np.zeros((2, 3, 4))}, "two axes, not 3"),
        ({"points": [(1, 2), (3,)]}, "pair"),
        ({"points": "ab"}, "pair"),
        ({"points": [(1, 2)], "positive": [[True], [True, False]]}, "inside"),
        ({"boxes": [(1, 2, 3, 4), (1, 2)]}, "two corners"),
        ({"mask": [[1, 0], [1]]}, "array of pixels"),
    ],
)
def test_arrays_of_another_shape_are_refused(given: dict, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Prompts(**given)


@pytest.mark.parametrize(
    "prompts", [Prompts(), Prompts(points=[(5, 5)], positive=[False]), Prompts(points=[])]
)
def test_prompts_that_mark_nothing_are_refused(prompts: Prompts) -> None:
    with pytest.raises(PromptError, match="Nothing marks the object yet"):
        prompts.check(SHAPE)


@pytest.mark.parametrize("point", [(-0.6, 5), (5, -1), (19.6, 5), (5, 30), (np.nan, 5)])
def test_point_outside_the_image_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(PromptError, match="outside the image"):
        Prompts(points=[(5, 5), point]).check(SHAPE)


@pytest.mark.parametrize("point", [(-0.5, -0.5), (19.5, 29.5)])
def test_point_on_the_rim_is_taken(point: tuple[float, float]) -> None:
    Prompts(points=[point]).check(SHAPE)


@pytest.mark.parametrize(
    "box", [(5, 5, 5, 9), (5, 5, 9, 5), (25, 5, 28, 9), (-9, -9, -2, -2), (5, np.nan, 9, 9)]
)
def test_box_of_no_area_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(PromptError, match="covers no pixel"):
        Prompts(boxes=[box]).check(SHAPE)


def test_box_that_leaves_the_image_is_taken() -> None:
    Prompts(boxes=[(-9, -9, 99, 99)]).check(SHAPE)


def test_boxes_are_cut_off_where_the_frame_ends() -> None:
    prompts = Prompts(boxes=[(-9, 3, 99, 8), (-np.inf, 0, 5, np.inf)])

    assert prompts.clipped(SHAPE).boxes.tolist() == [[-0.5, 3, 19.5, 8], [-0.5, 0, 5, 29.5]]


@pytest.mark.parametrize("outline", [None, OUTLINE, PATCH])
def test_what_else_is_said_stays_when_boxes_are_cut_off(outline) -> None:
    said, box = ([(1, 2), (3, 4)], [True, False]), (-9, 3, 99, 8)

    clipped = Prompts(*said, [box], outline).clipped(SHAPE)

    assert clipped.extends(Prompts(*said, [(-0.5, 3, 19.5, 8)], outline))


@pytest.mark.parametrize(
    ("mask", "message"), [(np.ones((9, 9)), "made for"), (np.zeros(SHAPE), "encloses no pixel")]
)
def test_outline_that_does_not_fit_is_refused(mask: np.ndarray, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Prompts(mask=mask).check(SHAPE)


def test_more_points_extend_fewer() -> None:
    fewer = Prompts([(1, 2)], mask=OUTLINE)

    assert Prompts([(1, 2), (3, 4)], [True, False], mask=OUTLINE.copy()).extends(fewer)
    assert fewer.extends(fewer)


@pytest.mark.parametrize(
    "later",
    [
        Prompts([(1, 3), (3, 4)]),
        Prompts([(1, 2), (3, 4)], [False, True]),
        Prompts([(1, 2), (3, 4)], boxes=[(1, 1, 5, 5)]),
        Prompts([(1, 2), (3, 4)], mask=OUTLINE),
    ],
)
def test_changed_prompts_do_not_extend(later: Prompts) -> None:
    assert not later.extends(Prompts([(1, 2)]))


def test_mask_can_be_exchanged() -> None:
    prompts = Prompts([(1, 2)], [False], [(1, 1, 5, 5)]).with_mask(OUTLINE)

    assert prompts.extends(Prompts([(1, 2)], [False], [(1, 1, 5, 5)], OUTLINE))

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam3.engine import Frames, Prompts
from napari_sam3.engine.images.window_choice import (
    FILLED,
    MARGIN,
    SIDE,
    coarsest,
    shared_window,
    wider_window,
    window_for,
    windows_to_follow,
)
from napari_sam3.engine.images.windows import Window
from napari_sam3.engine.masks import ObjectMask, Place
from tests.large_images import pyramid

SHAPE = (20000, 20000)
TILE = np.zeros((1, 64, 64), np.uint8)


def click(row: float, col: float) -> Prompts:
    return Prompts(points=[(row, col)])


def mask_in_box(*box: int) -> ObjectMask:
    patch = np.ones((box[2] - box[0], box[3] - box[1]), bool)
    return ObjectMask(0, 1, patch, 1.0, place=Place(box[0], box[1], SHAPE))


@pytest.mark.parametrize("place", [(10007, 9991), (1023, 1025), (500, 12345), (19990, 19999)])
def test_click_is_far_from_every_side_that_cuts_the_frame(place) -> None:
    window = window_for(click(*place), SHAPE)

    row, col = place
    assert (window.level, window.top % 64, window.left % 64) == (0, 0, 0)
    assert window.frees((row, col, row + 1, col + 1), SHAPE, MARGIN)


@pytest.mark.parametrize("size", [10, 200, 257, FILLED])
def test_box_is_far_from_every_side_that_cuts_the_frame(size: int) -> None:
    for start in range(3000, 3300, 37):
        box = (start, start + 5000, start + size, start + 5000 + size)

        window = window_for(Prompts(boxes=[box]), SHAPE)

        assert window.level == 0
        assert window.frees(box, SHAPE, MARGIN)


def test_neighbouring_clicks_share_a_window() -> None:
    windows = {window_for(click(5000 + 8 * step, 5000), SHAPE) for step in range(33)}

    assert len(windows) <= 3


@pytest.mark.parametrize(("size", "level"), [(400, 0), (800, 1), (1800, 3), (7000, 4)])
def test_larger_boxes_are_seen_on_coarser_levels(size: int, level: int) -> None:
    window = window_for(Prompts(boxes=[(5000, 6000, 5000 + size, 6100)]), SHAPE)

    assert window.level == level
    assert size / window.scale <= FILLED


def test_everything_is_seen_on_the_coarsest_level() -> None:
    window = window_for(Prompts(boxes=[(0, 0, *SHAPE)]), SHAPE)

    assert window == Window(coarsest(SHAPE), 0, 0, 625, 625)


@pytest.mark.parametrize(
    ("visible", "level"), [(None, 0), (900, 0), (2000, 0), (4000, 1), (12000, 3), (90000, 4)]
)
def test_lone_click_is_seen_as_closely_as_the_user_does(visible: float | None, level: int) -> None:
    seen = None if visible is None else (100.0, 100.0, 100 + visible, 100 + visible / 2)

    assert window_for(click(1000, 1000), SHAPE, seen).level == level


def test_box_is_seen_closely_however_much_is_visible() -> None:
    assert window_for(Prompts(boxes=[(0, 0, 90, 90)]), SHAPE, (0, 0, *SHAPE)).level == 0


def test_outline_tells_the_size() -> None:
    outline = np.zeros((3000, 3000), bool)
    outline[100:1000, 200:500] = True

    window = window_for(Prompts(mask=outline), (3000, 3000))

    assert (window.level, window.box((3000, 3000))) == (2, (0, 0, 3000, 3000))


def test_narrow_frame_is_seen_across() -> None:
    shape = (300, 50000)

    window = window_for(click(150, 25000), shape)

    assert (window.top, window.height, window.width) == (0, 300, SIDE)


def test_mask_that_reaches_a_side_is_seen_wider() -> None:
    frames = Frames.from_levels(pyramid(TILE, SHAPE, 3))
    window = Window(0, 1024, 1024, SIDE, SIDE)

    wider = wider_window(window, (1024, 1300, 1700, 1700), frames)

    assert wider is not None
    assert wider.level == 1
    assert wider.frees((1024, 1300, 1700, 1700), SHAPE, MARGIN // 2)


@pytest.mark.parametrize("window", [Window(0, 0, 0, SIDE, SIDE), Window(4, 0, 0, 625, 625)])
def test_mask_at_the_border_of_the_frame_is_whole(window: Window) -> None:
    frames = Frames.from_levels(pyramid(TILE, SHAPE, 5))

    assert wider_window(window, (0, 0, 500, 500), frames) is None


def test_masks_are_continued_as_far_as_reading_is_cheap() -> None:
    frames = Frames.from_levels(pyramid(TILE, SHAPE, 1))
    cut = (1024, 1024, 2000, 2000)

    levels = [wider_window(Window(level, 0, 0, 9, 9), cut, frames) for level in range(3)]

    assert [window.level if window else None for window in levels] == [1, 2, None]


def test_object_is_followed_in_its_window_until_it_comes_near_a_side() -> None:
    window = windows_to_follow([mask_in_box(5000, 5000, 5050, 5050)], {})[1]

    near = windows_to_follow([mask_in_box(5000, 5100, 5050, 5150)], {1: window})[1]
    far = windows_to_follow([mask_in_box(5000, 5500, 5050, 5550)], {1: window})[1]

    assert near == window
    assert far != window
    assert far.frees((5000, 5500, 5050, 5550), SHAPE, MARGIN)


def test_objects_near_each_other_are_followed_in_one_window() -> None:
    masks = [
        replace(mask_in_box(5000, 5000 + 5 * i, 5050, 5050 + 5 * i), object_id=i) for i in range(20)
    ]

    windows = windows_to_follow(masks, {})

    assert len(set(windows.values())) == 1


def test_object_too_large_for_a_known_window_gets_its_own() -> None:
    known = Window(0, 4608, 4608, SIDE, SIDE)
    own = Window(1, 2000, 2000, SIDE, SIDE)

    assert shared_window(own, (5000, 5000, 5800, 5800), [known], SHAPE) == own

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam3.engine import Frames, Mask, Prompts
from napari_sam3.engine.images.frames import Window
from napari_sam3.engine.images.tiling import (
    LARGEST_EXTENT,
    WINDOW_MARGIN,
    WINDOW_SIDE,
    coarsest,
    enlarged,
    mask_on_frame,
    mask_on_window,
    prompts_on_window,
    propagation_windows,
    shared_window,
    wider_window,
    window_for,
)
from tests.backends import ellipse
from tests.large_images import pyramid
from tests.masks import mask_of

SHAPE = (20000, 20000)
TILE = np.zeros((1, 64, 64), np.uint8)


def click(row: float, col: float) -> Prompts:
    return Prompts(points=[(row, col)])


def mask_in_box(*box: int) -> Mask:
    crop = np.ones((box[2] - box[0], box[3] - box[1]), bool)
    return mask_of(crop, corner=(box[0], box[1]), shape=SHAPE)


@pytest.mark.parametrize("point", [(10007, 9991), (1023, 1025), (500, 12345), (19990, 19999)])
def test_click_is_far_from_every_side_that_cuts_the_frame(point) -> None:
    window = window_for(click(*point), SHAPE)

    row, col = point
    assert (window.level, window.top % 64, window.left % 64) == (0, 0, 0)
    assert window.contains((row, col, row + 1, col + 1), SHAPE, WINDOW_MARGIN)


@pytest.mark.parametrize("size", [10, 200, 257, LARGEST_EXTENT])
def test_box_is_far_from_every_side_that_cuts_the_frame(size: int) -> None:
    for start in range(3000, 3300, 37):
        box = (start, start + 5000, start + size, start + 5000 + size)

        window = window_for(Prompts(boxes=[box]), SHAPE)

        assert window.level == 0
        assert window.contains(box, SHAPE, WINDOW_MARGIN)


def test_neighbouring_clicks_share_a_window() -> None:
    windows = {window_for(click(5000 + 8 * step, 5000), SHAPE) for step in range(33)}

    assert len(windows) <= 3


@pytest.mark.parametrize(("size", "level"), [(400, 0), (800, 1), (1800, 3), (7000, 4)])
def test_larger_boxes_are_seen_on_coarser_levels(size: int, level: int) -> None:
    window = window_for(Prompts(boxes=[(5000, 6000, 5000 + size, 6100)]), SHAPE)

    assert window.level == level
    assert size / window.scale <= LARGEST_EXTENT


def test_everything_is_seen_on_the_coarsest_level() -> None:
    window = window_for(Prompts(boxes=[(0, 0, *SHAPE)]), SHAPE)

    assert window == Window(coarsest(SHAPE), 0, 0, 625, 625)


@pytest.mark.parametrize(
    ("visible", "level"), [(None, 0), (900, 0), (2000, 0), (4000, 1), (12000, 3), (90000, 4)]
)
def test_lone_click_is_decoded_on_the_level_that_is_visible(
    visible: float | None, level: int
) -> None:
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

    assert (window.top, window.height, window.width) == (0, 300, WINDOW_SIDE)


def test_mask_that_reaches_a_side_is_seen_wider() -> None:
    frames = Frames.from_levels(pyramid(TILE, SHAPE, 3))
    window = Window(0, 1024, 1024, WINDOW_SIDE, WINDOW_SIDE)

    wider = wider_window(window, (1024, 1300, 1700, 1700), frames)

    assert wider is not None
    assert wider.level == 1
    assert wider.contains((1024, 1300, 1700, 1700), SHAPE, WINDOW_MARGIN // 2)


@pytest.mark.parametrize(
    "window", [Window(0, 0, 0, WINDOW_SIDE, WINDOW_SIDE), Window(4, 0, 0, 625, 625)]
)
def test_mask_at_the_border_of_the_frame_is_whole(window: Window) -> None:
    frames = Frames.from_levels(pyramid(TILE, SHAPE, 5))

    assert wider_window(window, (0, 0, 500, 500), frames) is None


def test_masks_are_continued_as_far_as_reading_is_cheap() -> None:
    frames = Frames.from_levels(pyramid(TILE, SHAPE, 1))
    cut = (1024, 1024, 2000, 2000)

    levels = [wider_window(Window(level, 0, 0, 9, 9), cut, frames) for level in range(3)]

    assert [window.level if window else None for window in levels] == [1, 2, None]


def test_object_is_propagated_in_its_window_until_it_comes_near_a_side() -> None:
    window = propagation_windows([mask_in_box(5000, 5000, 5050, 5050)], {})[1]

    near = propagation_windows([mask_in_box(5000, 5100, 5050, 5150)], {1: window})[1]
    far = propagation_windows([mask_in_box(5000, 5500, 5050, 5550)], {1: window})[1]

    assert near == window
    assert far != window
    assert far.contains((5000, 5500, 5050, 5550), SHAPE, WINDOW_MARGIN)


def test_objects_near_each_other_are_propagated_in_one_window() -> None:
    masks = [
        replace(mask_in_box(5000, 5000 + 5 * i, 5050, 5050 + 5 * i), object_id=i) for i in range(20)
    ]

    windows = propagation_windows(masks, {})

    assert len(set(windows.values())) == 1


def test_object_too_large_for_a_known_window_gets_its_own() -> None:
    known = Window(0, 4608, 4608, WINDOW_SIDE, WINDOW_SIDE)
    own = Window(1, 2000, 2000, WINDOW_SIDE, WINDOW_SIDE)

    assert shared_window(own, (5000, 5000, 5800, 5800), [known], SHAPE) == own


SHAPE_WINDOW_MASKS = (501, 403)


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_mask_comes_back_from_a_window_as_it_was(level: int) -> None:
    drawn = ellipse(SHAPE_WINDOW_MASKS, (230, 200), (90, 60))
    window = Window(level, 64 >> level, 48 >> level, 400 >> level, 304 >> level)

    seen = mask_on_window(mask_of(drawn), window)
    back = mask_on_frame(mask_of(seen), window, SHAPE_WINDOW_MASKS)

    assert back.shape == SHAPE_WINDOW_MASKS
    assert iou(back.pixels, drawn) > (1 if level == 0 else 0.95) - 1e-9


def test_mask_at_the_far_corner_of_a_coarse_level_stays_on_the_frame() -> None:
    window = Window(2, 100, 80, 26, 21)
    hypothesis = mask_of(np.ones((26, 21), bool))

    mask = mask_on_frame(hypothesis, window, SHAPE_WINDOW_MASKS)

    assert mask.box == (400, 320, *SHAPE_WINDOW_MASKS)


def test_patch_is_seen_like_the_mask_it_is_of() -> None:
    drawn = ellipse(SHAPE_WINDOW_MASKS, (230, 200), (90, 60))
    crop = mask_of(drawn[133:331, 129:271], corner=(133, 129), shape=SHAPE_WINDOW_MASKS)
    window = Window(1, 50, 60, 100, 90)

    seen = mask_on_window(crop, window)

    np.testing.assert_array_equal(seen, mask_on_window(mask_of(drawn), window))


def test_thin_line_does_not_vanish_on_a_coarse_level() -> None:
    line = np.zeros(SHAPE_WINDOW_MASKS, bool)
    line[100:300, 200] = True

    assert mask_on_window(mask_of(line), Window(3, 0, 0, 63, 51)).any()


def test_mask_outside_a_window_is_not_seen() -> None:
    crop = mask_of(np.ones((9, 9), bool), corner=(400, 300), shape=SHAPE_WINDOW_MASKS)

    assert not mask_on_window(crop, Window(0, 0, 0, 100, 100)).any()


def test_enlarged_outline_is_smooth() -> None:
    disk = ellipse((40, 40), (19.5, 19.5), (15, 15))

    drawn = enlarged(disk, 8)

    assert iou(drawn, ellipse((320, 320), (159.5, 159.5), (122, 122))) > 0.97


def test_nothing_enlarged_is_nothing() -> None:
    assert enlarged(np.zeros((0, 0), bool), 4).shape == (0, 0)


def test_prompts_are_in_pixels_of_the_window() -> None:
    outline = ellipse(SHAPE_WINDOW_MASKS, (230, 200), (90, 60))
    prompts = Prompts([(101.5, 203.5)], [True], [(99.5, 199.5, 139.5, 239.5)], outline)

    on_window = prompts_on_window(prompts, Window(2, 10, 20, 90, 80))

    np.testing.assert_allclose(on_window.points, [[15, 30.5]])
    np.testing.assert_allclose(on_window.boxes, [[14.5, 29.5, 24.5, 39.5]])
    assert on_window.mask is not None
    assert on_window.mask.shape == (90, 80)


def test_points_off_the_window_are_left_out() -> None:
    prompts = Prompts([(50, 50), (300, 300)], [True, False])

    on_window = prompts_on_window(prompts, Window(0, 0, 0, 100, 100))

    assert on_window.points.tolist() == [[50, 50]]
    assert on_window.positive.tolist() == [True]

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from napari_sam3.engine import Candidates, Frames
from napari_sam3.engine.images.frames import Window
from napari_sam3.engine.images.stitching import stitched
from napari_sam3.engine.images.tiling import TILE_OVERLAP, tiles_of
from tests.backends import ellipse


def frames(*shape: int) -> Frames:
    return Frames.from_array(np.broadcast_to(np.uint8(0), shape))


def detect_on(scene: np.ndarray, window: Window, score: float = 0.8) -> Candidates:
    """Return what is connected on the part of a scene (H, W) that a window shows."""
    rows = slice(window.top, window.top + window.height)
    regions, count = ndimage.label(scene[rows, window.left : window.left + window.width])
    spots = ndimage.find_objects(regions)
    boxes = [[rows.start, cols.start, rows.stop, cols.stop] for rows, cols in spots]
    masks = tuple(regions[spot] == value for value, spot in enumerate(spots, 1))
    return Candidates(
        window.shape, np.array(boxes, np.int64).reshape(-1, 4), masks, np.full(count, score)
    )


def stitched_scene(scene: np.ndarray, windows: list[Window]) -> Candidates:
    return stitched(((window, detect_on(scene, window)) for window in windows), scene.shape)


LEFT, RIGHT = Window(0, 0, 0, 300, 400), Window(0, 0, 272, 300, 400)


@pytest.mark.parametrize("shape", [(3000, 2500), (1024, 5000), (1025, 1100), (20000, 20000)])
def test_tiles_fill_the_frame_and_overlap(shape) -> None:
    tiles = tiles_of(frames(*shape))

    assert {(tile.top % 64, tile.left % 64) for tile in tiles} == {(0, 0)}
    for axis, size in enumerate(shape):
        spans = sorted({(tile.box(shape)[axis], tile.box(shape)[axis + 2]) for tile in tiles})
        assert (spans[0][0], spans[-1][1]) == (0, size)
        overlaps = [end - start for (_, end), (start, _) in pairwise(spans)]
        assert all(overlap >= TILE_OVERLAP for overlap in overlaps)


def test_small_frame_is_a_single_tile() -> None:
    assert tiles_of(frames(300, 700)) == [Window(0, 0, 0, 300, 700)]


@pytest.mark.parametrize(
    "region", [(5000, 5100, 5200, 5400), (0, 0, 100, 100), (4000, 9000, 6500, 9999)]
)
def test_tiles_of_a_region_hold_it_with_surroundings(region) -> None:
    shape = (10000, 10000)

    tiles = np.array([tile.box(shape) for tile in tiles_of(frames(*shape), region)])

    first, last = tiles[:, :2].min(0), tiles[:, 2:].max(0)
    assert (first <= np.maximum(np.array(region[:2]) - 64, 0)).all()
    assert (last >= np.minimum(np.array(region[2:]) + 64, shape)).all()
    assert tiles.shape[0] <= 12


def test_object_in_the_overlap_is_found_once() -> None:
    scene = ellipse((300, 672), (150, 336), (30, 30))

    found = stitched_scene(scene, [LEFT, RIGHT])

    assert len(found) == 1
    np.testing.assert_array_equal(found.labels() > 0, scene)


def test_object_that_a_tile_cuts_and_its_neighbour_shows_is_whole() -> None:
    scene = ellipse((300, 672), (150, 400), (40, 60))

    found = stitched_scene(scene, [LEFT, RIGHT])

    assert len(found) == 1
    np.testing.assert_array_equal(found.labels() > 0, scene)


def test_object_larger_than_the_overlap_is_joined() -> None:
    scene = ellipse((300, 672), (150, 336), (40, 250))

    found = stitched_scene(scene, [LEFT, RIGHT])

    assert len(found) == 1
    np.testing.assert_array_equal(found.labels() > 0, scene)


def test_object_over_many_tiles_is_joined() -> None:
    scene = ellipse((3000, 3000), (1500, 1500), (1300, 1400))

    found = stitched_scene(scene, tiles_of(frames(3000, 3000)))

    assert len(found) == 1
    np.testing.assert_array_equal(found.labels() > 0, scene)


def test_neighbours_in_the_overlap_stay_apart() -> None:
    scene = np.zeros((300, 672), bool)
    scene[100:140, 300:390] = scene[150:190, 250:460] = scene[10:50, 380:600] = True

    found = stitched_scene(scene, [LEFT, RIGHT])

    assert len(found) == 3
    np.testing.assert_array_equal(found.labels() > 0, scene)


def test_better_fragment_of_two_stays_with_its_score() -> None:
    scene = ellipse((300, 672), (150, 336), (30, 30))
    parts = [(LEFT, detect_on(scene, LEFT, 0.6)), (RIGHT, detect_on(scene, RIGHT, 0.9))]

    assert stitched(parts, scene.shape).scores.tolist() == [0.9]


def test_object_at_the_border_of_the_frame_is_whole() -> None:
    scene = ellipse((300, 672), (0, 0), (30, 30))

    found = stitched_scene(scene, [LEFT, RIGHT])

    np.testing.assert_array_equal(found.labels() > 0, scene)


def test_object_on_no_second_tile_stays_cut() -> None:
    scene = ellipse((300, 672), (150, 272), (30, 60))

    found = stitched_scene(scene, [RIGHT])

    assert found.boxes.tolist() == [[120, 272, 181, 333]]


def test_candidates_of_a_coarse_window_are_drawn_in_pixels_of_the_frame() -> None:
    window = Window(2, 0, 0, 100, 100)
    coarse = ellipse((100, 100), (40, 50), (20, 20))

    found = stitched([(window, detect_on(coarse, window))], (400, 400))

    smooth = ellipse((400, 400), (161.5, 201.5), (82, 82))
    shared = np.count_nonzero((found.labels() > 0) & smooth)
    assert shared / np.count_nonzero((found.labels() > 0) | smooth) > 0.95


def test_nothing_found_is_an_empty_result() -> None:
    found = stitched_scene(np.zeros((300, 672), bool), [LEFT, RIGHT])

    assert (len(found), found.shape) == (0, (300, 672))


def test_saturation_of_a_tile_and_the_number_of_tiles_are_kept() -> None:
    scene = ellipse((300, 672), (150, 336), (30, 30))
    parts = [
        (LEFT, replace(detect_on(scene, LEFT), is_saturated=True)),
        (RIGHT, detect_on(scene, RIGHT)),
    ]

    found = stitched(parts, scene.shape)

    assert (found.is_saturated, found.tiles_searched) == (True, 2)

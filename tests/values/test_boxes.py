from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.values.boxes import are_apart, bounding, holds, joined, moved, placed, whole


def test_the_box_around_pixels_is_half_open():
    mask = np.zeros((9, 9), bool)
    mask[2, 3] = mask[5, 4] = True

    assert bounding(mask) == (2, 3, 6, 5)
    assert bounding(np.zeros((9, 9), bool)) is None


@pytest.mark.parametrize("nothing", [None, (0, 0, 0, 0), (7, 9, 7, 12)])
def test_an_empty_box_adds_nothing(nothing):
    assert joined((5, 6, 8, 9), nothing) == (5, 6, 8, 9)


def test_boxes_are_joined_by_the_smallest_that_holds_both():
    box = joined((5, 6, 8, 9), (2, 7, 4, 20))

    assert box == (2, 6, 8, 20)
    assert holds(box, (5, 6, 8, 9))
    assert not holds((5, 6, 8, 9), box)


def test_boxes_with_much_between_them_are_apart():
    assert are_apart((0, 0, 10, 10), (100, 100, 110, 110))
    assert not are_apart((0, 0, 10, 10), (5, 8, 15, 18))
    assert not are_apart((0, 0, 0, 0), (100, 100, 110, 110))


def test_a_mask_is_placed_where_its_box_is():
    mask = np.ones((2, 3), bool)

    larger = placed(mask, (4, 5, 6, 8), (3, 5, 9, 9))

    assert larger.shape == (6, 4)
    assert bounding(larger) == (1, 0, 3, 3)
    assert moved((1, 0, 3, 3), 3, 5) == (4, 5, 6, 8)


def test_the_whole_frame_is_a_box():
    assert whole((3, 4, 60, 80)) == (0, 0, 60, 80)

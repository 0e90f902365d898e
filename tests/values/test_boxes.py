from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.values import Box


def test_the_box_around_pixels_is_half_open():
    mask = np.zeros((9, 9), bool)
    mask[2, 3] = mask[5, 4] = True

    assert Box.around(mask) == (2, 3, 6, 5)
    assert Box.around(np.zeros((9, 9), bool)).is_empty


@pytest.mark.parametrize("nothing", [Box(0, 0, 0, 0), Box(7, 9, 7, 12)])
def test_an_empty_box_adds_nothing(nothing):
    assert Box(5, 6, 8, 9).union(nothing) == (5, 6, 8, 9)
    assert nothing.union(Box(5, 6, 8, 9)) == (5, 6, 8, 9)


def test_the_union_of_boxes_is_the_smallest_that_contains_both():
    box = Box(5, 6, 8, 9).union(Box(2, 7, 4, 20))

    assert box == (2, 6, 8, 20)
    assert box.contains(Box(5, 6, 8, 9))
    assert not Box(5, 6, 8, 9).contains(box)


def test_boxes_with_much_between_them_are_far_from_each_other():
    assert Box(0, 0, 10, 10).is_far_from(Box(100, 100, 110, 110))
    assert not Box(0, 0, 10, 10).is_far_from(Box(5, 8, 15, 18))
    assert not Box(0, 0, 0, 0).is_far_from(Box(100, 100, 110, 110))


def test_boxes_that_share_no_pixel_have_an_empty_intersection():
    assert Box(0, 0, 5, 5).intersection(Box(3, 4, 9, 9)) == (3, 4, 5, 5)
    assert Box(0, 0, 5, 5).intersection(Box(5, 0, 9, 9)).is_empty


def test_a_box_is_shifted_by_rows_and_columns():
    assert Box(1, 0, 3, 3).shifted(3, 5) == (4, 5, 6, 8)


def test_the_whole_frame_is_a_box():
    assert Box.whole((3, 4, 60, 80)) == (0, 0, 60, 80)


def test_a_box_cuts_its_pixels_out_of_an_array():
    box = Box.at(slice(2, 4), slice(5, 9))

    assert (box.shape, box.area) == ((2, 4), 8)
    assert np.zeros((9, 9))[box.slices].shape == (2, 4)

"""Many new objects, written at once."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.storage.hand_edits import LabelPlane, filled
from napari_sam3.values import Box
from tests.masks import mask_of

Pixels = np.ndarray


def disk(row: int, col: int, radius: int = 5) -> Pixels:
    rows, cols = np.mgrid[:30, :30]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def painted(plane: LabelPlane, mask: Pixels, value: int) -> LabelPlane:
    """Return the plane after the user gave a label to some pixels."""
    shown = plane.shown.copy()
    shown[mask] = value
    return LabelPlane(shown, plane.model)


def write(plane: LabelPlane, mask: Pixels, value: int = 1) -> LabelPlane:
    return plane.written(value, mask, plane.free(value))


@pytest.fixture
def empty() -> LabelPlane:
    return LabelPlane(np.zeros((30, 30), np.uint16), np.zeros((30, 30), np.uint16))


def test_what_the_model_writes_is_shown(empty: LabelPlane) -> None:
    plane = write(empty, disk(10, 10))

    np.testing.assert_array_equal(plane.mask(1), disk(10, 10))
    assert not plane.is_edited(1)
    assert plane.shown.dtype == np.uint16


def test_a_new_mask_replaces_the_one_before(empty: LabelPlane) -> None:
    plane = write(write(empty, disk(10, 10)), disk(20, 20))

    np.testing.assert_array_equal(plane.mask(1), disk(20, 20))


def test_pixels_added_by_hand_stay(empty: LabelPlane) -> None:
    plane = painted(write(empty, disk(10, 10)), disk(10, 17, 3), 1)

    plane = write(plane, disk(20, 10))

    np.testing.assert_array_equal(plane.mask(1), disk(20, 10) | disk(10, 17, 3) & ~disk(10, 10))


def test_pixels_erased_by_hand_stay_erased(empty: LabelPlane) -> None:
    plane = painted(write(empty, disk(10, 10)), disk(10, 10, 2), 0)

    plane = write(plane, disk(11, 11))

    np.testing.assert_array_equal(plane.mask(1), disk(11, 11) & ~disk(10, 10, 2))


def test_hand_edits_outlive_masks_that_agree_with_them(empty: LabelPlane) -> None:
    added, erased = disk(10, 17, 1), disk(10, 8, 1)
    plane = painted(painted(write(empty, disk(10, 10)), added, 1), erased, 0)
    agreeing = (disk(10, 10) | added) & ~erased

    plane = write(write(plane, agreeing), disk(10, 10))

    np.testing.assert_array_equal(plane.mask(1), agreeing)
    np.testing.assert_array_equal(plane.added(1), added & ~disk(10, 10))
    np.testing.assert_array_equal(plane.erased(1), erased)


def test_undoing_a_stroke_undoes_the_edit(empty: LabelPlane) -> None:
    before = write(empty, disk(10, 10))

    plane = LabelPlane(before.shown, painted(before, disk(20, 20), 1).model)

    assert not plane.is_edited(1)


def test_labels_that_were_added_to_or_erased_are_edited(empty: LabelPlane) -> None:
    plane = write(write(write(empty, disk(6, 6)), disk(6, 22), 2), disk(22, 6), 3)

    plane = painted(painted(plane, disk(6, 6, 1), 0), disk(6, 22, 1), 4)

    assert plane.edited() == [1, 2, 4]


def test_an_object_leaves_the_pixels_of_others_alone(empty: LabelPlane) -> None:
    plane = write(write(empty, disk(10, 10), 1), disk(10, 14), 2)

    np.testing.assert_array_equal(plane.mask(1), disk(10, 10))
    np.testing.assert_array_equal(plane.mask(2), disk(10, 14) & ~disk(10, 10))
    assert not plane.is_edited(1)
    assert not plane.is_edited(2)


def test_where_it_is_allowed_an_object_takes_the_pixels_of_others(empty: LabelPlane) -> None:
    plane = write(empty, disk(10, 10), 1)

    plane = plane.written(2, disk(10, 14), np.ones((30, 30), bool))

    np.testing.assert_array_equal(plane.mask(2), disk(10, 14))
    np.testing.assert_array_equal(plane.mask(1), disk(10, 10) & ~disk(10, 14))
    assert not plane.is_edited(1)


def test_painting_one_object_over_another_edits_both(empty: LabelPlane) -> None:
    plane = painted(write(empty, disk(10, 10), 1), disk(10, 12, 2), 2)

    plane = write(write(plane, disk(10, 10), 1), disk(20, 20), 2)

    np.testing.assert_array_equal(plane.mask(2), disk(10, 12, 2) | disk(20, 20))
    np.testing.assert_array_equal(plane.mask(1), disk(10, 10) & ~disk(10, 12, 2))


def test_a_removed_object_leaves_the_others(empty: LabelPlane) -> None:
    plane = write(write(empty, disk(10, 10), 1), disk(20, 20), 2).without(1)

    assert not plane.mask(1).any()
    assert not plane.is_edited(1)
    np.testing.assert_array_equal(plane.mask(2), disk(20, 20))


def test_a_label_moves_with_its_hand_edits(empty: LabelPlane) -> None:
    source = painted(write(empty, disk(10, 10)), disk(10, 17, 3), 1)
    source = painted(source, disk(10, 8, 1), 0)

    moved = empty.joined(source, 1)

    for part in ("mask", "added", "erased"):
        np.testing.assert_array_equal(getattr(moved, part)(1), getattr(source, part)(1))


def test_a_label_that_is_moved_leaves_the_pixels_of_others_alone(empty: LabelPlane) -> None:
    plane = write(empty, disk(10, 10), 1).joined(write(empty, disk(10, 14), 2), 2)

    np.testing.assert_array_equal(plane.mask(1), disk(10, 10))
    np.testing.assert_array_equal(plane.mask(2), disk(10, 14) & ~disk(10, 10))
    assert not plane.is_edited(2)


BOX = Box(10, 10, 30, 30)
SQUARES = {
    1: mask_of(np.ones((4, 4), bool), corner=(12, 12), shape=(40, 40)),
    2: mask_of(np.ones((4, 4), bool), corner=(20, 20), shape=(40, 40)),
}


def plane(**values: tuple[int, int, int]) -> LabelPlane:
    """Make a plane of the box with some pixels of others: row, col and label of each."""
    labels = np.zeros((20, 20), np.uint16)
    for row, col, value in values.values():
        labels[row, col] = value
    return LabelPlane(labels, labels.copy())


def test_masks_lie_where_their_boxes_are():
    drawn = filled(plane(), BOX, SQUARES, keeps_committed=True)

    assert (drawn.shown[2:6, 2:6] == 1).all()
    assert (drawn.shown[10:14, 10:14] == 2).all()
    assert np.count_nonzero(drawn.shown) == 32
    np.testing.assert_array_equal(drawn.shown, drawn.model)


def test_pixels_of_others_are_kept_or_taken_as_wanted():
    before = plane(other=(3, 3, 9))

    kept = filled(before, BOX, SQUARES, keeps_committed=True)
    taken = filled(before, BOX, SQUARES, keeps_committed=False)

    assert kept.shown[3, 3] == 9
    assert taken.shown[3, 3] == 1


def test_plane_that_is_written_on_stays_as_it_was():
    before = plane()

    filled(before, BOX, SQUARES, keeps_committed=True)

    assert not before.shown.any()

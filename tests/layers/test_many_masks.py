"""Many new objects, written at once."""

import numpy as np

from napari_sam3.layers.hand_edits import LabelPlane
from napari_sam3.layers.many_masks import BoxedMask, filled

BOX = (10, 10, 30, 30)
SQUARES = {
    1: BoxedMask((12, 12, 16, 16), np.ones((4, 4), bool)),
    2: BoxedMask((20, 20, 24, 24), np.ones((4, 4), bool)),
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

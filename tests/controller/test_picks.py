"""What was picked by hand among the candidates of a frame."""

import numpy as np

from napari_sam3.controller.picks import Picks, counterparts
from napari_sam3.engine import Candidates, Selection


def candidates(*corners: tuple[int, int]) -> Candidates:
    boxes = np.array([[row, col, row + 10, col + 10] for row, col in corners], np.int64)
    masks = tuple(np.ones((10, 10), bool) for _ in corners)
    return Candidates((100, 100), boxes, masks, np.linspace(0.9, 0.5, len(corners)))


def test_picks_follow_their_objects_to_new_positions():
    before = candidates((0, 0), (30, 30), (60, 60))
    after = candidates((60, 61), (0, 0), (80, 80))

    picks = Picks(frozenset({0}), frozenset({2}), {1: 7}).carried(before, after)

    assert picks.accepted == {1}
    assert picks.rejected == {0}
    assert picks.taken == {}


def test_box_elsewhere_is_no_counterpart():
    assert counterparts(candidates((0, 0)).boxes, candidates((5, 5)).boxes) == {}


def test_no_boxes_have_no_counterparts():
    assert counterparts(candidates((0, 0)).boxes, np.zeros((0, 4), np.int64)) == {}


def test_what_became_an_object_is_not_shown():
    selection = Picks(frozenset({1, 2}), frozenset({3}), {2: 7}).applied(Selection(threshold=0.8))

    assert selection == Selection(
        threshold=0.8, accepted=frozenset({1}), rejected=frozenset({2, 3})
    )


def test_object_that_is_gone_is_a_candidate_again():
    picks = Picks(taken={2: 7, 3: 8}).without_objects({7})

    assert picks.taken == {3: 8}

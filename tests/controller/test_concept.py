"""Candidates kept in little room."""

from __future__ import annotations

import numpy as np

from napari_sam3.controller.concept import CandidateStore, PackedCandidates, Picks, counterparts
from napari_sam3.engine import Candidates, Selection


def candidates(count: int, side: int = 9) -> Candidates:
    rng = np.random.default_rng(count)
    corners = rng.integers(0, 50, (count, 2))
    masks = tuple(rng.random((count, side, side)) > 0.5)
    boxes = np.hstack([corners, corners + side]).astype(np.int64)
    return Candidates((64, 64), boxes, masks, rng.random(count), frame=3)


def test_packed_candidates_come_back_as_they_were():
    before = candidates(7)

    after = PackedCandidates.of(before).unpacked()

    for one, other in zip(before.masks, after.masks, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(before.boxes, after.boxes)
    assert after.frame == 3


def test_no_candidates_come_back_as_none():
    assert len(PackedCandidates.of(candidates(0)).unpacked()) == 0
    assert PackedCandidates.of(candidates(0)).unpacked().masks == ()


def test_masks_take_a_bit_a_pixel():
    packed = PackedCandidates.of(candidates(100, side=40))

    assert packed.nbytes < 100 * 40 * 40 / 8 + 100 * 50


def test_frames_unused_for_longest_make_room():
    one = PackedCandidates.of(candidates(5)).nbytes
    store = CandidateStore(max_bytes=2 * one)
    for frame in range(2):
        store.put((frame,), candidates(5))
    store.candidate_filter((0,))

    store.put((2,), candidates(5))

    assert sorted(store.frame_indices()) == [(0,), (2,)]


def test_frame_that_was_not_looked_at_has_no_sieve():
    assert CandidateStore().candidate_filter((4,)) is None


def test_sieve_of_a_frame_is_made_once():
    store = CandidateStore()
    store.put((0,), candidates(5))

    assert store.candidate_filter((0,)) is store.candidate_filter((0,))


def candidates_of_picks(*corners: tuple[int, int]) -> Candidates:
    boxes = np.array([[row, col, row + 10, col + 10] for row, col in corners], np.int64)
    masks = tuple(np.ones((10, 10), bool) for _ in corners)
    return Candidates((100, 100), boxes, masks, np.linspace(0.9, 0.5, len(corners)))


def test_picks_follow_their_objects_to_new_positions():
    before = candidates_of_picks((0, 0), (30, 30), (60, 60))
    after = candidates_of_picks((60, 61), (0, 0), (80, 80))

    picks = Picks(frozenset({0}), frozenset({2}), {1: 7}).carried(before, after)

    assert picks.accepted == {1}
    assert picks.rejected == {0}
    assert picks.promoted == {}


def test_box_elsewhere_is_no_counterpart():
    assert counterparts(candidates_of_picks((0, 0)).boxes, candidates_of_picks((5, 5)).boxes) == {}


def test_no_boxes_have_no_counterparts():
    assert counterparts(candidates_of_picks((0, 0)).boxes, np.zeros((0, 4), np.int64)) == {}


def test_what_became_an_object_is_not_shown():
    selection = Picks(frozenset({1, 2}), frozenset({3}), {2: 7}).applied(Selection(threshold=0.8))

    assert selection == Selection(
        threshold=0.8, accepted=frozenset({1}), rejected=frozenset({2, 3})
    )


def test_object_that_is_gone_is_a_candidate_again():
    picks = Picks(promoted={2: 7, 3: 8}).without_objects({7})

    assert picks.promoted == {3: 8}

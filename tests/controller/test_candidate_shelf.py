"""Candidates kept in little room."""

import numpy as np

from napari_sam3.controller.candidate_shelf import CandidateShelf, PackedCandidates
from napari_sam3.engine import Candidates


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
    shelf = CandidateShelf(max_bytes=2 * one)
    for frame in range(2):
        shelf.put((frame,), candidates(5))
    shelf.sieve((0,))

    shelf.put((2,), candidates(5))

    assert sorted(shelf.places()) == [(0,), (2,)]


def test_frame_that_was_not_looked_at_has_no_sieve():
    assert CandidateShelf().sieve((4,)) is None


def test_sieve_of_a_frame_is_made_once():
    shelf = CandidateShelf()
    shelf.put((0,), candidates(5))

    assert shelf.sieve((0,)) is shelf.sieve((0,))

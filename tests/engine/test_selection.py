from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam3.engine import (
    CandidateFilter,
    Candidates,
    Selection,
    filter_candidates,
    position_at,
    selection,
)
from napari_sam3.engine.selection import neighbours, refined
from napari_sam3.values import Box
from tests.backends import ellipse


@pytest.fixture
def disk() -> np.ndarray:
    return ellipse((40, 40), (20, 20), (15, 15))


def corners(mask: np.ndarray) -> int:
    """Count pixels of the outline, which is shorter the smoother it is."""
    return int(np.count_nonzero(mask & ~ndimage.binary_erosion(mask)))


def test_level_zero_is_the_raw_mask(disk):
    assert refined(disk, 0) is disk


@pytest.mark.parametrize("smoothness", [1, 3, 5])
def test_a_smooth_disk_stays_as_it_is_nearly(disk, smoothness):
    smooth = refined(disk, smoothness)

    assert np.count_nonzero(smooth ^ disk) < 0.1 * np.count_nonzero(disk)


def test_a_higher_level_has_a_shorter_outline(disk):
    rough = disk & (np.random.default_rng(0).random(disk.shape) > 0.1)
    rough[:5, 18:22] = True  # a spike

    lengths = [corners(refined(rough, smoothness)) for smoothness in (0, 1, 5)]

    assert lengths[0] > lengths[1] > lengths[2]


def test_small_holes_are_filled_and_large_ones_stay(disk):
    pierced = disk & ~ellipse(disk.shape, (14, 14), (2, 2)) & ~ellipse(disk.shape, (24, 24), (6, 6))

    smooth = refined(pierced, 1)

    assert smooth[14, 14]
    assert not smooth[24, 24]


def test_a_hole_that_opens_to_the_outside_is_none(disk):
    disk[:, 20] = False

    assert not refined(disk, 1)[0, 20]


def test_small_islands_are_removed_and_large_ones_stay(disk):
    disk = np.pad(disk, (0, 20))
    disk[45:47, 45:47] = True
    disk[50:58, 10:20] = True

    smooth = refined(disk, 1)

    assert not smooth[44:48, 44:48].any()
    assert smooth[54, 15]


def test_a_thin_rod_does_not_vanish():
    rod = np.ones((3, 40), bool)

    assert np.count_nonzero(refined(rod, 5)) > 60


def test_a_single_pixel_does_not_vanish():
    assert refined(np.ones((1, 1), bool), 5).all()


def test_what_the_border_of_the_image_cuts_is_not_rounded_there():
    half = ellipse((15, 40), (0, 20), (15, 15))

    inside, cut = refined(half, 5), refined(half, 5, (True, False, False, False))

    assert not inside[0, 7]
    assert cut[0, 7]


def test_nothing_stays_nothing():
    assert not refined(np.zeros((4, 4), bool), 5).any()


ALL = Selection(threshold=0)


@pytest.fixture
def candidates() -> Candidates:
    """Four squares: a good one, one half beneath it, a small one, and one at the border."""
    boxes = np.array([[20, 20, 40, 40], [20, 28, 40, 48], [60, 60, 64, 64], [0, 80, 10, 100]])
    masks = tuple(np.ones((box[2] - box[0], box[3] - box[1]), bool) for box in boxes)
    return Candidates((100, 100), boxes, masks, np.array([0.9, 0.6, 0.8, 0.3]))


def shown(candidates: Candidates | CandidateFilter, selection: Selection) -> list[int]:
    return sorted(filter_candidates(candidates, selection).positions.tolist())


def test_what_is_below_the_threshold_is_counted(candidates):
    kept = filter_candidates(candidates, Selection(threshold=0.5, overlap=1))

    assert sorted(kept.positions) == [0, 1, 2]
    assert (kept.found, kept.below) == (3, 1)


def test_a_score_at_the_threshold_is_found(candidates):
    assert shown(candidates, Selection(threshold=0.9)) == [0]


def test_sizes_are_limited(candidates):
    assert shown(candidates, Selection(threshold=0, smallest=100, overlap=1)) == [0, 1, 3]
    assert shown(candidates, Selection(threshold=0, largest=300)) == [2, 3]


def test_what_touches_the_border_can_be_left_out(candidates):
    assert shown(candidates, Selection(threshold=0, keeps_border=False, overlap=1)) == [0, 1, 2]


def test_what_overlaps_with_better_candidates_is_left_out_whole(candidates):
    kept = filter_candidates(candidates, Selection(threshold=0, overlap=0.5))

    assert 1 not in kept.positions
    assert 2 not in np.unique(kept.labels)


def test_what_overlaps_less_is_shown_beneath_better_candidates(candidates):
    labels = filter_candidates(candidates, Selection(threshold=0, overlap=0.6)).labels

    assert labels[30, 30] == labels[30, 39] == 1
    assert labels[30, 40] == 2


def test_what_is_not_shown_suppresses_nothing(candidates):
    assert 1 in shown(candidates, Selection(rejected=frozenset({0})))


def test_every_hidden_candidate_is_counted_once(candidates):
    selection = Selection(smallest=20, keeps_border=False)

    kept = filter_candidates(candidates, selection)

    assert kept.summary == "1 found, 1 below, 1 too small, 1 overlapping"
    assert kept.found + sum(kept.counts.values()) == len(candidates)


def test_a_pick_overrides_every_criterion_and_survives_the_next_move(candidates):
    picked = Selection(threshold=0.5).accepting(3).rejecting(0)
    moved = Selection(0.95, 500, 10, 0, False, 2, picked.accepted, picked.rejected)

    assert shown(candidates, picked) == [1, 2, 3]
    assert shown(candidates, moved) == [3]


def test_an_accepted_candidate_counts_as_better_than_all_that_are_not(candidates):
    selection = ALL.accepting(1)

    kept = filter_candidates(candidates, selection)

    assert kept.labels[30, 35] == 2
    assert 0 not in kept.positions


def test_a_click_rejects_what_is_shown_and_accepts_it_again(candidates):
    once = ALL.toggled(candidates, 0)
    twice = once.toggled(candidates, 0)

    assert once.rejected == {0}
    assert (twice.accepted, twice.rejected) == ({0}, frozenset())


def test_a_click_finds_the_topmost_shown_candidate_first(candidates):
    assert position_at(candidates, ALL, 30, 35.2) == 0
    assert position_at(candidates, ALL.rejecting(0), 30, 35) == 1


def test_a_click_finds_a_hidden_candidate_where_none_is_shown(candidates):
    assert position_at(candidates, ALL, 30, 45) == 1
    assert position_at(candidates, Selection(threshold=0.95), 30, 35) == 0


def test_a_click_beside_all_finds_none(candidates):
    assert position_at(candidates, ALL, 90, 5) is None
    assert position_at(candidates, None, -3, 500) is None


def test_without_a_selection_the_best_candidate_is_clicked(candidates):
    assert position_at(candidates, None, 30, 35) == 0


def test_part_of_the_labels_is_that_part_of_all_of_them(candidates):
    kept = filter_candidates(CandidateFilter(candidates), Selection(threshold=0, overlap=1))

    part = kept.labels_in(Box(5, 30, 35, 90))

    np.testing.assert_array_equal(part, kept.labels[5:35, 30:90])


def test_smooth_outlines_change_nothing_but_the_drawn_masks(candidates):
    raw, smooth = (
        filter_candidates(candidates, Selection(0, smoothness=level)) for level in (0, 5)
    )

    assert raw.positions.tolist() == smooth.positions.tolist()
    assert raw.labels[20, 20] == 1
    assert smooth.labels[20, 20] == 0


def test_no_candidates_are_no_kept_candidates():
    nothing = Candidates((8, 8), np.zeros((0, 4), np.int64), (), np.zeros(0))

    kept = filter_candidates(nothing, Selection())

    assert kept.summary == "0 found"
    assert not kept.labels.any()
    assert position_at(nothing, Selection(), 4, 4) is None


def squares(boxes: list[list[int]]) -> Candidates:
    masks = tuple(np.ones((box[2] - box[0], box[3] - box[1]), bool) for box in boxes)
    scores = np.linspace(0.9, 0.5, len(boxes))
    return Candidates((100, 100), np.array(boxes, np.int64).reshape(-1, 4), masks, scores)


def test_neighbours_are_all_whose_boxes_overlap():
    corners = np.random.default_rng(0).integers(0, 80, (60, 2))
    boxes = np.hstack([corners, corners + np.random.default_rng(1).integers(1, 20, (60, 2))])
    first, last = boxes[:, None, :2], boxes[:, None, 2:]
    overlap = ((first < boxes[None, :, 2:]) & (boxes[None, :, :2] < last)).all(2)
    np.fill_diagonal(overlap, False)

    found = neighbours(boxes)

    assert [sorted(beside) for beside in found] == [np.flatnonzero(row).tolist() for row in overlap]


def test_several_neighbours_overlap_a_candidate_together():
    candidate_filter = CandidateFilter(
        squares([[0, 0, 10, 10], [0, 0, 10, 4], [0, 2, 10, 6], [50, 50, 60, 60]])
    )

    assert candidate_filter.overlapped_share(0, np.array([1, 2])) == 0.6
    assert candidate_filter.overlapped_share(0, np.array([], int)) == 0


def test_masks_are_smoothed_once_per_level(monkeypatch):
    smoothed, refine = [], selection.refined
    monkeypatch.setattr(selection, "refined", lambda *mask: smoothed.append(mask) or refine(*mask))
    candidate_filter = CandidateFilter(squares([[0, 0, 10, 10], [20, 20, 40, 40]]))

    for _ in range(3):
        candidate_filter.mask(0, 2)

    assert len(smoothed) == 1


def test_a_candidate_at_the_border_is_not_rounded_there():
    candidate_filter = CandidateFilter(squares([[0, 20, 20, 40], [40, 40, 60, 60]]))

    assert candidate_filter.mask(0, 5).crop[0, 0]
    assert not candidate_filter.mask(1, 5).crop[0, 0]


def test_the_best_candidate_at_a_pixel_comes_first():
    candidate_filter = CandidateFilter(squares([[0, 0, 10, 10], [5, 5, 20, 20]]))

    assert candidate_filter.candidates_at(7, 7).tolist() == [0, 1]
    assert candidate_filter.candidates_at(15, 15).tolist() == [1]
    assert candidate_filter.candidates_at(50, 50).tolist() == []


def test_nothing_has_no_neighbours():
    assert CandidateFilter(squares([])).neighbours == []

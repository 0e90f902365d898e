from __future__ import annotations

import numpy as np

from napari_sam3.engine import Candidates, Sieve
from napari_sam3.engine.finding import refinement
from napari_sam3.engine.finding import sieve as sieves
from napari_sam3.engine.finding.sieve import neighbours


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

    assert [sorted(others) for others in found] == [np.flatnonzero(row).tolist() for row in overlap]


def test_several_others_cover_a_candidate_together():
    sieve = Sieve(squares([[0, 0, 10, 10], [0, 0, 10, 4], [0, 2, 10, 6], [50, 50, 60, 60]]))

    assert sieve.covered(0, np.array([1, 2])) == 0.6
    assert sieve.covered(0, np.array([], int)) == 0


def test_masks_are_smoothed_once_per_level(monkeypatch):
    smoothed = []
    monkeypatch.setattr(
        sieves, "refined", lambda *asked: smoothed.append(asked) or refinement.refined(*asked)
    )
    sieve = Sieve(squares([[0, 0, 10, 10], [20, 20, 40, 40]]))

    for _ in range(3):
        sieve.mask(0, 2)

    assert len(smoothed) == 1


def test_a_candidate_at_the_border_is_not_rounded_there():
    sieve = Sieve(squares([[0, 20, 20, 40], [40, 40, 60, 60]]))

    assert sieve.mask(0, 5)[0, 0]
    assert not sieve.mask(1, 5)[0, 0]


def test_the_best_candidate_that_holds_a_pixel_comes_first():
    sieve = Sieve(squares([[0, 0, 10, 10], [5, 5, 20, 20]]))

    assert sieve.holding(7, 7).tolist() == [0, 1]
    assert sieve.holding(15, 15).tolist() == [1]
    assert sieve.holding(50, 50).tolist() == []


def test_nothing_has_no_neighbours():
    assert Sieve(squares([])).neighbours == []

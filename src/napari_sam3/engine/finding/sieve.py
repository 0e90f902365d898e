"""What is worked out once about candidates, so that a slider moves them at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .concepts import Candidates
from .refinement import Sides, refined

Place = tuple[slice, slice]
"""Rows and columns of the image."""


class Sieve:
    """Candidates with their sizes, their neighbours and their smoothed masks.

    Attributes
    ----------
    areas : (N,) int64
        Number of pixels of every candidate.
    touches_border : (N,) bool
        Whether it reaches the border of the image.
    neighbours : N arrays of int64
        Which candidates have a box that overlaps with its own.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        self.areas = candidates.areas
        self.touches_border = candidates.touches_border
        self.neighbours = neighbours(candidates.boxes)
        self._smoothness = 0
        self._smooth: dict[int, NDArray[np.bool_]] = {}

    def place(self, position: int) -> Place:
        """Return where a candidate lies."""
        top, left, bottom, right = self.candidates.boxes[position].tolist()
        return slice(top, bottom), slice(left, right)

    def mask(self, position: int, smoothness: int) -> NDArray[np.bool_]:
        """Return the smoothed mask of a candidate, (h, w) of its place."""
        if smoothness != self._smoothness:
            self._smoothness = smoothness
            self._smooth.clear()
        if position not in self._smooth:
            raw = self.candidates.masks[position]
            self._smooth[position] = refined(raw, smoothness, self._sides(position))
        return self._smooth[position]

    def covered(self, position: int, others: NDArray[np.int64]) -> float:
        """Return the share of a candidate's own area that others cover together."""
        top, left, bottom, right = self.candidates.boxes[position].tolist()
        is_covered = np.zeros((bottom - top, right - left), bool)
        for other in others.tolist():
            rows, cols = self.place(other)
            first_row, first_col = max(rows.start, top), max(cols.start, left)
            last_row, last_col = min(rows.stop, bottom), min(cols.stop, right)
            part = self.candidates.masks[other][
                first_row - rows.start : last_row - rows.start,
                first_col - cols.start : last_col - cols.start,
            ]
            is_covered[first_row - top : last_row - top, first_col - left : last_col - left] |= part
        shared = np.count_nonzero(is_covered & self.candidates.masks[position])
        return shared / max(int(self.areas[position]), 1)

    def holding(self, row: int, col: int) -> NDArray[np.int64]:
        """Return which candidates cover a pixel, the best first."""
        boxes = self.candidates.boxes
        is_near = (boxes[:, :2] <= (row, col)).all(1) & (boxes[:, 2:] > (row, col)).all(1)
        holding = [
            position
            for position in np.flatnonzero(is_near).tolist()
            if self.candidates.masks[position][row - boxes[position, 0], col - boxes[position, 1]]
        ]
        return np.array(sorted(holding, key=lambda one: -self.candidates.scores[one]), np.int64)

    def _sides(self, position: int) -> Sides:
        top, left, bottom, right = self.candidates.boxes[position].tolist()
        rows, cols = self.candidates.shape
        return top <= 0, left <= 0, bottom >= rows, right >= cols


def neighbours(boxes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return for every box, (N, 4), which others overlap with it."""
    found: list[list[int]] = [[] for _ in boxes]
    order = np.argsort(boxes[:, 0], kind="stable")
    ends = np.searchsorted(boxes[order, 0], boxes[order, 2])
    for place, (one, end) in enumerate(zip(order.tolist(), ends.tolist(), strict=True)):
        below = order[place + 1 : end]
        left, right = boxes[one, 1], boxes[one, 3]
        for other in below[(boxes[below, 1] < right) & (boxes[below, 3] > left)].tolist():
            found[one].append(other)
            found[other].append(one)
    return [np.array(others, np.int64) for others in found]

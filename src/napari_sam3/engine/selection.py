"""Filtering candidates by score, size and overlap, again and again, without the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..values import Box, Candidates, Mask

SMOOTHEST = 5
"""The highest level of smoothness; 0 leaves a mask as it is."""
SPECK_SHARE = 0.04
"""Per level, holes are filled and islands removed that are as large as this share of the mask."""
BLUR = 0.08
"""Per level, the width of the blur that rounds an outline, relative to the mask's thickness."""
LOWEST_CUT = 0.25
"""What blurring leaves less of is not part of the mask, even if its area shrinks."""

Reason = Literal["below", "too small", "too large", "at the border", "overlapping", "rejected"]
"""Why a candidate is hidden: the first of these that holds."""

Sides = tuple[bool, bool, bool, bool]
"""Whether the mask goes on beyond the top, left, bottom and right of its crop."""
INSIDE: Sides = (False, False, False, False)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a candidate must be to be shown, and which candidates were picked by hand.

    Sizes, overlap and border contact are those of the masks that the model drew, so that nothing
    appears or disappears when the smoothness is moved.
    """

    threshold: float = 0.5  # the lowest score, 0..1
    smallest: float = 0.0  # pixels
    largest: float = inf  # pixels
    overlap: float = 0.5  # the largest share of its area inside better candidates
    keeps_border: bool = True  # whether it may touch the border of the image
    smoothness: int = 0  # 0 for raw masks to 5 for the smoothest outlines
    accepted: frozenset[int] = frozenset()  # positions that are shown whatever they are
    rejected: frozenset[int] = frozenset()  # positions that are never shown

    def toggled(self, candidates: Candidates | CandidateFilter, position: int) -> Self:
        """Return a selection that rejects a shown candidate, or accepts a hidden one."""
        if position in filter_candidates(candidates, self).positions:
            return self.rejecting(position)
        return self.accepting(position)

    def accepting(self, position: int) -> Self:
        """Return a selection that shows a candidate whatever it is."""
        return replace(
            self, accepted=self.accepted | {position}, rejected=self.rejected - {position}
        )

    def rejecting(self, position: int) -> Self:
        """Return a selection that never shows a candidate."""
        return replace(
            self, accepted=self.accepted - {position}, rejected=self.rejected | {position}
        )


def filter_candidates(
    candidates: Candidates | CandidateFilter, selection: Selection
) -> KeptCandidates:
    """Return the candidates that a selection keeps, after non-maximum suppression.

    A candidate that overlaps with better kept ones by more than the selection allows is left out
    whole; those accepted by hand count as better than all candidates that are not. Give a
    `CandidateFilter` to filter the same candidates many times.
    """
    candidate_filter = _filter_of(candidates)
    reasons = _reasons(candidate_filter, selection)
    is_kept = np.zeros(len(reasons), bool)
    positions = []
    for position in _order(candidate_filter, selection).tolist():
        if reasons[position] is not None:
            continue
        better = candidate_filter.neighbours[position]
        better = better[is_kept[better]]
        is_free = position in selection.accepted or not len(better)
        if is_free or candidate_filter.overlapped_share(position, better) <= selection.overlap:
            is_kept[position] = True
            positions.append(position)
        else:
            reasons[position] = "overlapping"
    counts = {reason: reasons.count(reason) for reason in get_args(Reason)}
    return KeptCandidates(
        candidate_filter, selection.smoothness, np.array(positions, np.int64), counts
    )


def position_at(
    candidates: Candidates | CandidateFilter, selection: Selection | None, row: float, col: float
) -> int | None:
    """Return which candidate is under a click, or None.

    The topmost of those that are shown comes first, then the best score of those that are hidden.
    Without a selection all count as shown.
    """
    candidate_filter = _filter_of(candidates)
    clicked = candidate_filter.candidates_at(round(row), round(col))
    if not len(clicked):
        return None
    if selection is None:
        return int(clicked[0])
    shown = filter_candidates(candidate_filter, selection).positions
    return int(next((position for position in shown if position in clicked), clicked[0]))


@dataclass(frozen=True, slots=True, eq=False)
class KeptCandidates:
    """The candidates that are shown, and how many are not, and why."""

    candidate_filter: CandidateFilter
    smoothness: int
    positions: NDArray[np.int64]  # (n,) of those shown, the topmost first
    counts: dict[Reason, int]  # how many are hidden; each is counted once

    @property
    def found(self) -> int:
        """How many are shown."""
        return len(self.positions)

    @property
    def below(self) -> int:
        """How many have a score below the threshold."""
        return self.counts["below"]

    @property
    def summary(self) -> str:
        """How many are shown and hidden, as in "37 found, 12 below, 4 too small"."""
        hidden = [f"{count} {reason}" for reason, count in self.counts.items() if count]
        return ", ".join([f"{self.found} found", *hidden])

    @property
    def labels(self) -> NDArray[np.int32]:
        """The shown candidates, (H, W): value = position + 1, the better one on top."""
        return self.labels_in(Box.whole(self.candidate_filter.candidates.shape))

    def labels_in(self, box: Box) -> NDArray[np.int32]:
        """Draw the part of ``labels`` in a box of the image."""
        labels = np.zeros(box.shape, np.int32)
        top, left, bottom, right = self.candidate_filter.candidates.boxes[self.positions].T
        is_seen = (top < box.bottom) & (bottom > box.top) & (left < box.right) & (right > box.left)
        for position in self.positions[is_seen][::-1].tolist():
            labels[self.mask(position).within(box)] = position + 1
        return labels

    def mask(self, position: int) -> Mask:
        """Return a candidate with the smoothness of the selection."""
        return self.candidate_filter.mask(position, self.smoothness)


class CandidateFilter:
    """Candidates with what filtering needs: sizes, neighbours and smoothed masks.

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

    def mask(self, position: int, smoothness: int) -> Mask:
        """Return a candidate with a smoothed outline."""
        if smoothness != self._smoothness:
            self._smoothness = smoothness
            self._smooth.clear()
        mask = self.candidates.mask(position)
        if position not in self._smooth:
            self._smooth[position] = refined(mask.crop, smoothness, self._sides(position))
        return replace(mask, crop=self._smooth[position])

    def overlapped_share(self, position: int, neighbours: NDArray[np.int64]) -> float:
        """Return the share of a candidate's area inside neighbours, all of them together."""
        mask = self.candidates.mask(position)
        is_taken = np.zeros(mask.box.shape, bool)
        for neighbour in neighbours.tolist():
            is_taken |= self.candidates.mask(neighbour).within(mask.box)
        shared = np.count_nonzero(is_taken & mask.crop)
        return shared / max(int(self.areas[position]), 1)

    def candidates_at(self, row: int, col: int) -> NDArray[np.int64]:
        """Return the positions of the candidates that a pixel belongs to, the best first."""
        boxes = self.candidates.boxes
        is_near = (boxes[:, :2] <= (row, col)).all(1) & (boxes[:, 2:] > (row, col)).all(1)
        positions = [
            position
            for position in np.flatnonzero(is_near).tolist()
            if self.candidates.masks[position][row - boxes[position, 0], col - boxes[position, 1]]
        ]
        scores = self.candidates.scores
        return np.array(sorted(positions, key=lambda position: -scores[position]), np.int64)

    def _sides(self, position: int) -> Sides:
        top, left, bottom, right = self.candidates.boxes[position].tolist()
        rows, cols = self.candidates.shape
        return top <= 0, left <= 0, bottom >= rows, right >= cols


def _filter_of(candidates: Candidates | CandidateFilter) -> CandidateFilter:
    return candidates if isinstance(candidates, CandidateFilter) else CandidateFilter(candidates)


def _reasons(candidate_filter: CandidateFilter, selection: Selection) -> list[Reason | None]:
    """Return why each candidate is hidden, its overlap left aside; None where nothing hides it."""
    reasons = np.full(len(candidate_filter.areas), None, object)
    if not selection.keeps_border:
        reasons[candidate_filter.touches_border] = "at the border"
    reasons[candidate_filter.areas > selection.largest] = "too large"
    reasons[candidate_filter.areas < selection.smallest] = "too small"
    reasons[candidate_filter.candidates.scores < selection.threshold] = "below"
    for position, reason in [(selection.accepted, None), (selection.rejected, "rejected")]:
        reasons[sorted(position)] = reason
    found: list[Reason | None] = reasons.tolist()
    return found


def _order(candidate_filter: CandidateFilter, selection: Selection) -> NDArray[np.int64]:
    """Return all positions, the accepted ones first, each kind from the best score down."""
    is_accepted = np.zeros(len(candidate_filter.areas), bool)
    is_accepted[sorted(selection.accepted)] = True
    return np.lexsort((-candidate_filter.candidates.scores, ~is_accepted))


def neighbours(boxes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return for every box, (N, 4), the positions of the boxes that overlap with it."""
    found: list[list[int]] = [[] for _ in boxes]
    order = np.argsort(boxes[:, 0], kind="stable")
    ends = np.searchsorted(boxes[order, 0], boxes[order, 2])
    for rank, (first, end) in enumerate(zip(order.tolist(), ends.tolist(), strict=True)):
        below = order[rank + 1 : end]
        left, right = boxes[first, 1], boxes[first, 3]
        for second in below[(boxes[below, 1] < right) & (boxes[below, 3] > left)].tolist():
            found[first].append(second)
            found[second].append(first)
    return [np.array(beside, np.int64) for beside in found]


def refined(mask: NDArray[np.bool_], smoothness: int, goes_on: Sides = INSIDE) -> NDArray[np.bool_]:
    """Return a mask with a smoother outline, on the same crop.

    Holes of at most 4 % of the mask per level are filled, and islands of at most that size are
    removed. Then corners are rounded whose radius is small against the thickness of the mask, and
    what they lose is added along the rest of its outline. A crop never becomes empty, and its mask
    never leaves it.

    Parameters
    ----------
    mask : (h, w) bool
        The crop of a mask.
    smoothness : int
        0 for the raw mask to 5 for the smoothest one.
    goes_on : four bool
        Where the crop ends at the border of the image, so that nothing is rounded there.
    """
    if smoothness <= 0 or not mask.any():
        return mask
    speck = SPECK_SHARE * smoothness * np.count_nonzero(mask)
    solid = without_islands(without_holes(mask, speck), speck)
    rounded = _rounded(solid, BLUR * smoothness * _thickness(solid), goes_on)
    return rounded if rounded.any() else solid


def without_holes(mask: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    """Fill the holes of a mask, (h, w), that have at most so many pixels."""
    gaps, count = ndimage.label(~_framed(mask, 1))
    if count < 2:
        return mask
    is_small = np.bincount(gaps.ravel()) <= largest
    is_small[gaps[0, 0]] = False
    return np.asarray(mask | is_small[gaps[1:-1, 1:-1]] & ~mask)


def without_islands(mask: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    """Remove the parts of a mask, (h, w), that have at most so many pixels; the largest stays."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    is_kept = (sizes > largest) | (sizes == sizes.max())
    is_kept[0] = False
    return np.asarray(is_kept[parts])


def _thickness(mask: NDArray[np.bool_]) -> float:
    """Return the thickness of a mask: the radius of a disk, the width of a rod."""
    padded = _framed(mask, 1)
    inner = padded[1:-1, :-2] & padded[1:-1, 2:] & padded[:-2, 1:-1] & padded[2:, 1:-1] & mask
    area = np.count_nonzero(mask)
    return 2 * area / (area - np.count_nonzero(inner))


def _rounded(mask: NDArray[np.bool_], blur: float, goes_on: Sides) -> NDArray[np.bool_]:
    """Blur a mask, (h, w), and cut it where its area stays, which rounds its corners."""
    margin = int(2 * blur) + 1
    whole = _framed(mask, margin, goes_on)
    soft = ndimage.gaussian_filter(whole.astype(np.float32), blur, mode="constant", truncate=2)
    last = soft.size - np.count_nonzero(whole)
    cut = max(float(np.partition(soft.ravel(), last)[last]), LOWEST_CUT)
    return np.asarray(soft[margin:-margin, margin:-margin] >= cut)


def _framed(mask: NDArray[np.bool_], margin: int, goes_on: Sides = INSIDE) -> NDArray[np.bool_]:
    """Put so many empty rows and columns around a mask, (h, w), or where it goes on, its last."""
    rows, cols = mask.shape
    framed = np.zeros((rows + 2 * margin, cols + 2 * margin), bool)
    framed[margin : margin + rows, margin : margin + cols] = mask
    top, left, bottom, right = goes_on
    if top:
        framed[:margin] = framed[margin]
    if bottom:
        framed[-margin:] = framed[-margin - 1]
    if left:
        framed[:, :margin] = framed[:, margin, None]
    if right:
        framed[:, -margin:] = framed[:, -margin - 1, None]
    return framed

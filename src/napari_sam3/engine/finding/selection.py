"""Choosing among candidates, again and again, without the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from .concepts import Candidates
from .sieve import Place, Sieve

Reason = Literal["below", "too small", "too large", "at the border", "covered", "rejected"]
"""Why a candidate is not shown: the first of these that holds."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a candidate must be to be shown, and which ones were picked by hand.

    Sizes, overlap and border contact are those of the masks that the model drew, so that nothing
    appears or disappears when the smoothness is moved.
    """

    threshold: float = 0.5  # the lowest score, 0..1
    smallest: float = 0.0  # pixels
    largest: float = inf  # pixels
    overlap: float = 0.5  # the largest share of its area that better ones may cover
    keeps_border: bool = True  # whether it may touch the border of the image
    smoothness: int = 0  # 0 for raw masks to 5 for the smoothest outlines
    accepted: frozenset[int] = frozenset()  # positions that are shown whatever else is asked
    rejected: frozenset[int] = frozenset()  # positions that are never shown

    def toggled(self, candidates: Candidates | Sieve, position: int) -> Self:
        """Return a selection that rejects a shown candidate, or accepts a hidden one."""
        if position in choose(candidates, self).positions:
            return self.rejecting(position)
        return self.accepting(position)

    def accepting(self, position: int) -> Self:
        """Return a selection that shows a candidate whatever else is asked."""
        return replace(
            self, accepted=self.accepted | {position}, rejected=self.rejected - {position}
        )

    def rejecting(self, position: int) -> Self:
        """Return a selection that never shows a candidate."""
        return replace(
            self, accepted=self.accepted - {position}, rejected=self.rejected | {position}
        )


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The candidates that are shown, and how many are not, and why."""

    sieve: Sieve
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
    def told(self) -> str:
        """What was found, as in "37 found, 12 below, 4 too small"."""
        hidden = [f"{count} {reason}" for reason, count in self.counts.items() if count]
        return ", ".join([f"{self.found} found", *hidden])

    @property
    def labels(self) -> NDArray[np.int32]:
        """The shown candidates, (H, W): value = position + 1, the better one on top."""
        rows, cols = self.sieve.candidates.shape
        return self.labels_in(slice(0, rows), slice(0, cols))

    def labels_in(self, rows: slice, cols: slice) -> NDArray[np.int32]:
        """Draw the part of ``labels`` in these rows and columns of the image."""
        labels = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.int32)
        top, left, bottom, right = self.sieve.candidates.boxes[self.positions].T
        is_seen = (top < rows.stop) & (bottom > rows.start) & (left < cols.stop)
        is_seen &= right > cols.start
        for position in self.positions[is_seen][::-1].tolist():
            place, mask = self.crop(position)
            there, part = _shared(place, (rows, cols))
            labels[there][mask[part]] = position + 1
        return labels

    def crop(self, position: int) -> tuple[Place, NDArray[np.bool_]]:
        """Return where a candidate lies, and its mask there with the chosen smoothness, (h, w)."""
        return self.sieve.place(position), self.sieve.mask(position, self.smoothness)


def choose(candidates: Candidates | Sieve, selection: Selection) -> Chosen:
    """Choose among candidates.

    A candidate that better shown ones cover by more than the overlap is left out whole; those
    accepted by hand count as better than all others. Give a `Sieve` to choose many times.
    """
    sieve = _sieve(candidates)
    reasons = _reasons(sieve, selection)
    shown = np.zeros(len(reasons), bool)
    positions = []
    for position in _order(sieve, selection).tolist():
        if reasons[position] is not None:
            continue
        better = sieve.neighbours[position]
        better = better[shown[better]]
        is_free = position in selection.accepted or not len(better)
        if is_free or sieve.covered(position, better) <= selection.overlap:
            shown[position] = True
            positions.append(position)
        else:
            reasons[position] = "covered"
    counts = {reason: reasons.count(reason) for reason in get_args(Reason)}
    return Chosen(sieve, selection.smoothness, np.array(positions, np.int64), counts)


def position_at(
    candidates: Candidates | Sieve, selection: Selection | None, row: float, col: float
) -> int | None:
    """Return which candidate is under a click, or None.

    One that is shown comes first, the topmost of them; else the one with the best score of those
    that are hidden. Without a selection all count as shown.
    """
    sieve = _sieve(candidates)
    holding = sieve.holding(round(row), round(col))
    if not len(holding):
        return None
    if selection is None:
        return int(holding[0])
    shown = choose(sieve, selection).positions
    return int(next((one for one in shown if one in holding), holding[0]))


def _sieve(candidates: Candidates | Sieve) -> Sieve:
    return candidates if isinstance(candidates, Sieve) else Sieve(candidates)


def _reasons(sieve: Sieve, selection: Selection) -> list[Reason | None]:
    """Return why each candidate is hidden, whatever the others are; None if nothing speaks so."""
    reasons = np.full(len(sieve.areas), None, object)
    if not selection.keeps_border:
        reasons[sieve.touches_border] = "at the border"
    reasons[sieve.areas > selection.largest] = "too large"
    reasons[sieve.areas < selection.smallest] = "too small"
    reasons[sieve.candidates.scores < selection.threshold] = "below"
    for position, reason in [(selection.accepted, None), (selection.rejected, "rejected")]:
        reasons[sorted(position)] = reason
    found: list[Reason | None] = reasons.tolist()
    return found


def _order(sieve: Sieve, selection: Selection) -> NDArray[np.int64]:
    """Return all positions, the accepted ones first, each kind from the best score down."""
    is_accepted = np.zeros(len(sieve.areas), bool)
    is_accepted[sorted(selection.accepted)] = True
    return np.lexsort((-sieve.candidates.scores, ~is_accepted))


def _shared(place: Place, part: Place) -> tuple[Place, Place]:
    """Return what two places share, as seen from the corner of the second and of the first."""
    there, here = [], []
    for one, other in zip(place, part, strict=True):
        start, stop = max(one.start, other.start), min(one.stop, other.stop)
        there.append(slice(start - other.start, stop - other.start))
        here.append(slice(start - one.start, stop - one.start))
    return (there[0], there[1]), (here[0], here[1])

"""Which candidates of a frame a user picked by hand."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..engine import Candidates, Selection

SAME = 0.7  # intersection over union of two boxes around what must be one object


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """Positions of candidates that were clicked in or thrown out, or that became objects."""

    accepted: frozenset[int] = frozenset()
    rejected: frozenset[int] = frozenset()
    taken: Mapping[int, int] = field(default_factory=dict)  # ids of the objects they became

    def applied(self, levels: Selection) -> Selection:
        """Return a selection with these levels and picks; what became an object is not shown."""
        taken = frozenset(self.taken)
        return replace(levels, accepted=self.accepted - taken, rejected=self.rejected | taken)

    def after(self, selection: Selection) -> Self:
        """Return the picks of a selection, besides what became an object."""
        taken = frozenset(self.taken)
        return replace(
            self, accepted=selection.accepted - taken, rejected=selection.rejected - taken
        )

    def taking(self, positions: Mapping[int, int]) -> Self:
        """Note that candidates became objects of these ids."""
        return replace(self, taken={**self.taken, **positions})

    def without_objects(self, object_ids: Set[int]) -> Self:
        """Give candidates back whose objects are gone."""
        left = {position: one for position, one in self.taken.items() if one not in object_ids}
        return replace(self, taken=left)

    def carried(self, before: Candidates, after: Candidates) -> Self:
        """Return the same picks among candidates that were found anew."""
        picked = np.array(sorted({*self.accepted, *self.rejected, *self.taken}), np.int64)
        found = counterparts(before.boxes[picked], after.boxes)
        same = {int(picked[one]): other for one, other in found.items()}
        return replace(
            self,
            accepted=frozenset(same[one] for one in self.accepted if one in same),
            rejected=frozenset(same[one] for one in self.rejected if one in same),
            taken={same[one]: thing for one, thing in self.taken.items() if one in same},
        )


def counterparts(before: NDArray[np.int64], after: NDArray[np.int64]) -> dict[int, int]:
    """Return which of the boxes after, (M, 4), is each of those before, (N, 4), if one is."""
    if not len(before) or not len(after):
        return {}
    first = np.maximum(before[:, None, :2], after[None, :, :2])
    last = np.minimum(before[:, None, 2:], after[None, :, 2:])
    shared = np.clip(last - first, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (before, after)]
    overlap = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1)
    best = overlap.argmax(axis=1)
    return {one: int(other) for one, other in enumerate(best) if overlap[one, other] >= SAME}

"""One concept: what describes it, what was found of it, and what of that is shown."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..engine import CandidateFilter, KeptCandidates, Selection, choose, position_at
from ..layers import ConceptSheet, DrawnBox
from ..values import LARGE_FRAME, Box, Candidates, Exemplar, FrameIndex, Mask

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
            taken={same[one]: obj for one, obj in self.taken.items() if one in same},
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


STORE_BYTES = 2**28
"""What the candidates of one concept may occupy on all frames together."""
SIEVES_KEPT = 3  # frames whose sliders move at once


@dataclass(frozen=True, slots=True, eq=False)
class PackedCandidates:
    """Candidates whose masks take one bit a pixel."""

    bare: Candidates  # without masks
    bits: NDArray[np.uint8]  # all masks one after the other, row by row, eight pixels in one

    @classmethod
    def of(cls, candidates: Candidates) -> Self:
        """Pack candidates."""
        flat = [mask.ravel() for mask in candidates.masks] or [np.zeros(0, bool)]
        return cls(replace(candidates, masks=()), np.packbits(np.concatenate(flat)))

    @property
    def nbytes(self) -> int:
        """Bytes they occupy."""
        return self.bits.nbytes + self.bare.boxes.nbytes + self.bare.scores.nbytes

    def unpacked(self) -> Candidates:
        """Return the candidates as they were."""
        sides = self.bare.boxes[:, 2:] - self.bare.boxes[:, :2]
        ends = np.cumsum(sides.prod(axis=1, dtype=np.int64))
        flat = np.unpackbits(self.bits, count=int(ends[-1]) if len(ends) else 0).astype(bool)
        parts = zip(np.split(flat, ends[:-1]), sides.tolist(), strict=False)
        return replace(self.bare, masks=tuple(part.reshape(side) for part, side in parts))


class CandidateStore:
    """Candidates by the place of their frame; the ones unused for longest make room.

    Parameters
    ----------
    max_bytes : int
        What they may occupy together.
    """

    def __init__(self, max_bytes: int = STORE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._nbytes = 0
        self._packed: OrderedDict[FrameIndex, PackedCandidates] = OrderedDict()
        self._sieves: OrderedDict[FrameIndex, CandidateFilter] = OrderedDict()

    def __contains__(self, place: FrameIndex) -> bool:
        return place in self._packed

    def places(self) -> list[FrameIndex]:
        """Return where there are candidates, or may be none but were looked for."""
        return list(self._packed)

    def put(self, place: FrameIndex, candidates: Candidates) -> None:
        """Keep the candidates of a frame, in place of earlier ones."""
        self.drop(place)
        packed = self._packed[place] = PackedCandidates.of(candidates)
        self._nbytes += packed.nbytes
        while self._nbytes > self._max_bytes and len(self._packed) > 1:
            self.drop(next(iter(self._packed)))

    def packed(self, place: FrameIndex) -> PackedCandidates:
        """Return the candidates of a frame as a worker may take them."""
        return self._packed[place]

    def candidate_filter(self, place: FrameIndex) -> CandidateFilter | None:
        """Return what chooses among the candidates of a frame, if there are any."""
        if place not in self._packed:
            return None
        self._packed.move_to_end(place)
        if place not in self._sieves:
            self._sieves[place] = CandidateFilter(self._packed[place].unpacked())
        self._sieves.move_to_end(place)
        while len(self._sieves) > SIEVES_KEPT:
            self._sieves.popitem(last=False)
        return self._sieves[place]

    def drop(self, place: FrameIndex) -> None:
        """Keep the candidates of a frame no longer."""
        gone = self._packed.pop(place, None)
        self._nbytes -= 0 if gone is None else gone.nbytes
        self._sieves.pop(place, None)


Region = tuple[float, float, float, float]
"""Row, col, row, col of two opposite corners, in pixels of the frame."""

WORTH_A_GLANCE = 0.1
"""Candidates of a lower score are outlined nowhere; a click still finds them."""
MOSTLY = 0.5
"""A candidate that shown ones cover by more than this share is not outlined either."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the objects of a concept have in common."""

    text: str = ""
    is_everything: bool = False  # nothing but being an object
    boxes: tuple[DrawnBox, ...] = ()
    borrowed: tuple[Exemplar, ...] = ()  # from a library

    @property
    def is_empty(self) -> bool:
        """Whether nothing says what is meant."""
        is_shown = any(box.is_positive for box in self.boxes) or len(self.borrowed)
        return not (self.text or self.is_everything or is_shown)


@dataclass(frozen=True, slots=True, eq=False)
class CandidateCount:
    """What there is to tell of a concept on one frame."""

    shown: int
    below: int  # the threshold
    told: str  # "37 found, 12 below"
    scores: tuple[float, float] | None  # lowest and highest of those shown, 0..1
    windows: int  # pictures that the model was asked about
    is_saturated: bool  # whether some may be missing
    is_current: bool  # whether it was found with the description as it is now


@dataclass(slots=True, eq=False)
class ConceptState:
    """A concept of one image; frames are named by their places."""

    id: int
    name: str
    description: Description
    levels: Selection = field(default_factory=Selection)  # the sliders, without picks
    sheet: ConceptSheet | None = None  # made when something is drawn
    store: CandidateStore = field(default_factory=CandidateStore)
    picks: dict[FrameIndex, Picks] = field(default_factory=dict)
    drawn: dict[FrameIndex, Selection] = field(default_factory=dict)  # how frames were last drawn
    described: dict[FrameIndex, Description] = field(default_factory=dict)  # when they were asked
    _chosen: tuple[FrameIndex, Selection, KeptCandidates] | None = None

    def put(
        self,
        place: FrameIndex,
        description: Description,
        candidates: Candidates,
        region: Region | None = None,
    ) -> None:
        """Take what was found on a frame; what was picked there before stays picked.

        So does what was found beside the region that was looked at, unless something else is
        meant by now.
        """
        before = self.store.candidate_filter(place)
        if before is not None and region and self.described.get(place) == description:
            candidates = candidates.replacing(before.candidates, region)
        if before is not None and place in self.picks:
            self.picks[place] = self.picks[place].carried(before.candidates, candidates)
        self.store.put(place, candidates)
        self.described[place] = description
        self.drawn.pop(place, None)
        self._chosen = None

    def clear(self) -> None:
        """Forget all candidates and picks; frames that were drawn are to be drawn empty."""
        for place in self.store.places():
            self.store.drop(place)
        self.picks.clear()
        self.described.clear()
        self._chosen = None

    def selection_at(self, place: FrameIndex) -> Selection:
        """Return the levels with what was picked on a frame."""
        return self.picks.get(place, Picks()).applied(self.levels)

    def chosen_at(self, place: FrameIndex) -> KeptCandidates | None:
        """Choose among the candidates of a frame; None where nothing was looked for."""
        candidate_filter = self.store.candidate_filter(place)
        if candidate_filter is None:
            return None
        selection = self.selection_at(place)
        if self._chosen is None or self._chosen[:2] != (place, selection):
            self._chosen = place, selection, choose(candidate_filter, selection)
        return self._chosen[2]

    def position_at(self, place: FrameIndex, row: float, col: float) -> int | None:
        """Return which candidate is at a pixel, the shown ones first, unless it is an object."""
        candidate_filter = self.store.candidate_filter(place)
        if candidate_filter is None:
            return None
        position = position_at(candidate_filter, self.selection_at(place), row, col)
        return None if position in self.picks.get(place, Picks()).taken else position

    def toggle(self, place: FrameIndex, position: int) -> None:
        """Throw a shown candidate out, or take a hidden one in."""
        candidate_filter = self.store.candidate_filter(place)
        if candidate_filter is None:
            return
        toggled = self.selection_at(place).toggled(candidate_filter, position)
        self.picks[place] = self.picks.get(place, Picks()).after(toggled)

    def take(self, place: FrameIndex, objects: dict[int, int]) -> None:
        """Note which candidates became which objects; they are shown no longer."""
        self.picks[place] = self.picks.get(place, Picks()).taking(objects)

    def give_back(self, object_ids: Set[int]) -> list[FrameIndex]:
        """Let candidates count again whose objects are gone, and return where they are."""
        places = [
            place
            for place, one in self.picks.items()
            if not object_ids.isdisjoint(one.taken.values())
        ]
        for place in places:
            self.picks[place] = self.picks[place].without_objects(object_ids)
        return places

    def outdated(self) -> list[FrameIndex]:
        """Return the frames that are drawn with other levels than they should be."""
        places = self.store.places()
        return [place for place in places if self.drawn.get(place) != self.selection_at(place)]

    def is_candidate(self, place: FrameIndex, position: int) -> bool:
        """Whether there is such a candidate on a frame, and it is no object."""
        candidate_filter = self.store.candidate_filter(place)
        is_there = candidate_filter is not None and position < len(candidate_filter.candidates)
        return is_there and position not in self.picks.get(place, Picks()).taken

    def is_shown(self, place: FrameIndex, position: int) -> bool:
        """Whether a candidate counts."""
        chosen = self.chosen_at(place)
        return chosen is not None and position in chosen.positions

    def score(self, place: FrameIndex, position: int) -> float:
        """Return how sure the model is of a candidate, 0..1."""
        return float(self.store.packed(place).bare.scores[position])

    def box(self, place: FrameIndex, position: int) -> tuple[float, float, float, float]:
        """Return the box around a candidate: row, col, row, col of its outer edges."""
        top, left, bottom, right = self.store.packed(place).bare.boxes[position].tolist()
        return top - 0.5, left - 0.5, bottom - 0.5, right - 0.5

    def mask(self, place: FrameIndex, position: int) -> Mask:
        """Return the pixels of a candidate, as shown or to be shown."""
        chosen = self.chosen_at(place)
        if chosen is None:
            raise KeyError(place)
        mask = chosen.mask(position)
        if position not in chosen.positions:
            return mask
        return replace(mask, crop=np.asarray(chosen.labels_in(mask.box) == position + 1))

    def hidden_labels(self, place: FrameIndex) -> NDArray[np.int32] | None:
        """Draw candidates that do not count but might, (H, W): value = position + 1."""
        chosen = self.chosen_at(place)
        if chosen is None:
            return None
        candidates = chosen.candidate_filter.candidates
        labels = np.zeros(candidates.shape, np.int32)
        for position in self._worth_a_glance(place, chosen)[::-1].tolist():
            mask = candidates.mask(position)
            labels[mask.box.slices][mask.crop] = position + 1
        return labels

    def tally(self, place: FrameIndex) -> CandidateCount | None:
        """Tell what was found on a frame, or None where nothing was looked for."""
        chosen = self.chosen_at(place)
        if chosen is None:
            return None
        candidates = chosen.candidate_filter.candidates
        scores = candidates.scores[chosen.positions]
        return CandidateCount(
            chosen.found,
            chosen.below,
            chosen.told,
            (float(scores.min()), float(scores.max())) if len(scores) else None,
            candidates.tiles_searched,
            candidates.is_saturated,
            self.described.get(place) == self.description,
        )

    def _worth_a_glance(self, place: FrameIndex, chosen: KeptCandidates) -> NDArray[np.int64]:
        candidate_filter, taken = chosen.candidate_filter, self.picks.get(place, Picks()).taken
        is_shown = np.zeros(len(candidate_filter.candidates), bool)
        is_shown[chosen.positions] = True
        is_hidden = ~is_shown & (candidate_filter.candidates.scores >= WORTH_A_GLANCE)
        is_hidden[list(taken)] = False
        hidden = np.flatnonzero(is_hidden)
        seen = [one for one in hidden.tolist() if _share(candidate_filter, one, is_shown) <= MOSTLY]
        return np.array(
            sorted(seen, key=lambda one: -candidate_filter.candidates.scores[one]), np.int64
        )


def _share(candidate_filter: CandidateFilter, position: int, is_shown: NDArray[np.bool_]) -> float:
    """Return how much of a candidate those cover that are shown, (N,)."""
    others = candidate_filter.neighbours[position]
    return candidate_filter.overlapped_share(position, others[is_shown[others]])


BLOCK = 1024
"""Rows and columns of a piece of a large frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What a frame is to show of a concept."""

    selection: Selection  # by which it was chosen
    chosen: KeptCandidates | None  # None: nothing
    labels: NDArray[np.int32] | None = None  # (H, W), unless it is drawn piece by piece

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be seen."""
        return self.chosen is None or not self.chosen.found

    def parts(self, shape: tuple[int, int]) -> Iterator[tuple[Box, NDArray[np.int32]]]:
        """Draw a frame of this shape: boxes of it, and the labels (h, w) in them."""
        for box in boxes_of(shape):
            yield box, self._part(box)

    def _part(self, box: Box) -> NDArray[np.int32]:
        if self.labels is not None:
            return self.labels
        if self.chosen is None:
            return np.zeros(box.shape, np.int32)
        return self.chosen.labels_in(box)


def drawn(selection: Selection, chosen: KeptCandidates) -> Drawing:
    """Draw what was chosen, if the frame is not so large that it is drawn piece by piece."""
    is_large = len(boxes_of(chosen.candidate_filter.candidates.shape)) > 1
    return Drawing(selection, chosen, None if is_large else chosen.labels)


def boxes_of(shape: tuple[int, int]) -> list[Box]:
    """Divide a frame of this shape into the boxes that it is drawn in."""
    rows, cols = shape
    if rows * cols <= LARGE_FRAME:
        return [Box.whole(shape)]
    corners = product(range(0, rows, BLOCK), range(0, cols, BLOCK))
    return [
        Box(top, left, min(top + BLOCK, rows), min(left + BLOCK, cols)) for top, left in corners
    ]

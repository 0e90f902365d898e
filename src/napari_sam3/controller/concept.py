"""One concept: its description, its candidates on each frame, and which of them are shown."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..engine import CandidateFilter, KeptCandidates, Selection, filter_candidates, position_at
from ..layers import ConceptSheet, DrawnBox
from ..values import Box, Candidates, Corners, Exemplar, FrameIndex, Mask, is_large

SAME_BOX_IOU = 0.7
"""Boxes that overlap at least so much are around the same object."""


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """Positions of candidates that a click kept or rejected, or that were promoted to objects."""

    accepted: frozenset[int] = frozenset()
    rejected: frozenset[int] = frozenset()
    promoted: Mapping[int, int] = field(default_factory=dict)  # ids of their objects

    def applied(self, levels: Selection) -> Selection:
        """Return a selection with these levels and picks; promoted candidates are not shown."""
        promoted = frozenset(self.promoted)
        return replace(levels, accepted=self.accepted - promoted, rejected=self.rejected | promoted)

    def after(self, selection: Selection) -> Self:
        """Return the picks of a selection, and what was promoted."""
        promoted = frozenset(self.promoted)
        return replace(
            self, accepted=selection.accepted - promoted, rejected=selection.rejected - promoted
        )

    def with_promoted(self, positions: Mapping[int, int]) -> Self:
        """Return the picks after candidates became objects of these ids."""
        return replace(self, promoted={**self.promoted, **positions})

    def without_objects(self, object_ids: Set[int]) -> Self:
        """Return the picks after objects were removed, which are candidates again."""
        left = {position: i for position, i in self.promoted.items() if i not in object_ids}
        return replace(self, promoted=left)

    def carried(self, before: Candidates, after: Candidates) -> Self:
        """Return the same picks among candidates that were detected anew."""
        picked = np.array(sorted({*self.accepted, *self.rejected, *self.promoted}), np.int64)
        matches = counterparts(before.boxes[picked], after.boxes)
        same = {int(picked[old]): new for old, new in matches.items()}
        return replace(
            self,
            accepted=frozenset(same[old] for old in self.accepted if old in same),
            rejected=frozenset(same[old] for old in self.rejected if old in same),
            promoted={same[old]: obj for old, obj in self.promoted.items() if old in same},
        )


def counterparts(before: NDArray[np.int64], after: NDArray[np.int64]) -> dict[int, int]:
    """Return which of the boxes after, (M, 4), matches each of those before, (N, 4), if any."""
    if not len(before) or not len(after):
        return {}
    first = np.maximum(before[:, None, :2], after[None, :, :2])
    last = np.minimum(before[:, None, 2:], after[None, :, 2:])
    shared = np.clip(last - first, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (before, after)]
    overlap = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1)
    best = overlap.argmax(axis=1)
    return {old: int(new) for old, new in enumerate(best) if overlap[old, new] >= SAME_BOX_IOU}


STORE_BYTES = 2**28
"""What the candidates of one concept may occupy on all frames together."""
FILTERS_KEPT = 3  # frames whose candidates are unpacked


@dataclass(frozen=True, slots=True, eq=False)
class PackedCandidates:
    """Candidates whose masks take one bit a pixel."""

    bare: Candidates  # without masks
    bits: NDArray[np.uint8]  # all masks in order, row by row, eight pixels in a byte

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
    """Candidates by the index of their frame; the least recently used are evicted.

    Parameters
    ----------
    max_bytes : int
        What they may occupy together.
    """

    def __init__(self, max_bytes: int = STORE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._nbytes = 0
        self._packed: OrderedDict[FrameIndex, PackedCandidates] = OrderedDict()
        self._filters: OrderedDict[FrameIndex, CandidateFilter] = OrderedDict()

    def __contains__(self, frame_index: FrameIndex) -> bool:
        return frame_index in self._packed

    def frame_indices(self) -> list[FrameIndex]:
        """Return the frames that were searched, even if they have no candidate."""
        return list(self._packed)

    def put(self, frame_index: FrameIndex, candidates: Candidates) -> None:
        """Keep the candidates of a frame instead of earlier candidates."""
        self.drop(frame_index)
        packed = self._packed[frame_index] = PackedCandidates.of(candidates)
        self._nbytes += packed.nbytes
        while self._nbytes > self._max_bytes and len(self._packed) > 1:
            self.drop(next(iter(self._packed)))

    def packed(self, frame_index: FrameIndex) -> PackedCandidates:
        """Return the candidates of a frame as a worker may take them."""
        return self._packed[frame_index]

    def candidate_filter(self, frame_index: FrameIndex) -> CandidateFilter | None:
        """Return the filter of the candidates of a frame, if it was searched."""
        if frame_index not in self._packed:
            return None
        self._packed.move_to_end(frame_index)
        if frame_index not in self._filters:
            self._filters[frame_index] = CandidateFilter(self._packed[frame_index].unpacked())
        self._filters.move_to_end(frame_index)
        while len(self._filters) > FILTERS_KEPT:
            self._filters.popitem(last=False)
        return self._filters[frame_index]

    def drop(self, frame_index: FrameIndex) -> None:
        """Keep the candidates of a frame no longer."""
        gone = self._packed.pop(frame_index, None)
        self._nbytes -= 0 if gone is None else gone.nbytes
        self._filters.pop(frame_index, None)


Region = Corners
"""The part of a frame that is searched."""

OUTLINED_SCORE = 0.1
"""Candidates of a lower score have no outline; a click still picks them."""
MOST_OVERLAP = 0.5
"""A candidate of which kept candidates cover more than this share has no outline either."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the objects of a concept have in common."""

    text: str = ""
    is_everything: bool = False  # nothing but being an object
    boxes: tuple[DrawnBox, ...] = ()
    library_exemplars: tuple[Exemplar, ...] = ()  # from a library

    @property
    def is_empty(self) -> bool:
        """Whether it describes no object."""
        is_shown = any(box.is_positive for box in self.boxes) or len(self.library_exemplars)
        return not (self.text or self.is_everything or is_shown)


@dataclass(frozen=True, slots=True, eq=False)
class CandidateCount:
    """How many candidates of a concept a frame has."""

    shown: int
    below: int  # the threshold
    summary: str  # "37 found, 12 below"
    scores: tuple[float, float] | None  # lowest and highest of those shown, 0..1
    windows: int  # tiles that were searched
    is_saturated: bool  # whether candidates may be missing
    is_current: bool  # whether they were detected with the description as it is now


@dataclass(slots=True, eq=False)
class ConceptState:
    """A concept of one image; frames are given by their index in the layer."""

    id: int
    name: str
    description: Description
    levels: Selection = field(default_factory=Selection)  # the sliders, without picks
    sheet: ConceptSheet | None = None  # made when something is drawn
    store: CandidateStore = field(default_factory=CandidateStore)
    picks: dict[FrameIndex, Picks] = field(default_factory=dict)
    drawn: dict[FrameIndex, Selection] = field(default_factory=dict)  # how frames were last drawn
    described: dict[FrameIndex, Description] = field(default_factory=dict)  # when searched
    _kept: tuple[FrameIndex, Selection, KeptCandidates] | None = None

    def put(
        self,
        frame_index: FrameIndex,
        description: Description,
        candidates: Candidates,
        region: Region | None = None,
    ) -> None:
        """Keep the candidates of a frame; what was picked there before stays picked.

        Candidates beside the region that was searched are kept, too, unless the description is
        another one by now.
        """
        before = self.store.candidate_filter(frame_index)
        if before is not None and region and self.described.get(frame_index) == description:
            candidates = candidates.replacing(before.candidates, region)
        if before is not None and frame_index in self.picks:
            self.picks[frame_index] = self.picks[frame_index].carried(before.candidates, candidates)
        self.store.put(frame_index, candidates)
        self.described[frame_index] = description
        self.drawn.pop(frame_index, None)
        self._kept = None

    def clear(self) -> None:
        """Forget all candidates and picks; frames that were drawn are to be drawn empty."""
        for frame_index in self.store.frame_indices():
            self.store.drop(frame_index)
        self.picks.clear()
        self.described.clear()
        self._kept = None

    def selection_at(self, frame_index: FrameIndex) -> Selection:
        """Return the levels with what was picked on a frame."""
        return self.picks.get(frame_index, Picks()).applied(self.levels)

    def kept_at(self, frame_index: FrameIndex) -> KeptCandidates | None:
        """Filter the candidates of a frame; None where it was not searched."""
        candidate_filter = self.store.candidate_filter(frame_index)
        if candidate_filter is None:
            return None
        selection = self.selection_at(frame_index)
        if self._kept is None or self._kept[:2] != (frame_index, selection):
            self._kept = frame_index, selection, filter_candidates(candidate_filter, selection)
        return self._kept[2]

    def position_at(self, frame_index: FrameIndex, row: float, col: float) -> int | None:
        """Return which candidate is at a pixel, kept candidates first, unless it was promoted."""
        candidate_filter = self.store.candidate_filter(frame_index)
        if candidate_filter is None:
            return None
        position = position_at(candidate_filter, self.selection_at(frame_index), row, col)
        return None if position in self.picks.get(frame_index, Picks()).promoted else position

    def toggle(self, frame_index: FrameIndex, position: int) -> None:
        """Reject a candidate that is shown, or keep one that is hidden."""
        candidate_filter = self.store.candidate_filter(frame_index)
        if candidate_filter is None:
            return
        toggled = self.selection_at(frame_index).toggled(candidate_filter, position)
        self.picks[frame_index] = self.picks.get(frame_index, Picks()).after(toggled)

    def promote(self, frame_index: FrameIndex, objects: dict[int, int]) -> None:
        """Note which candidates became which objects; they are candidates no longer."""
        self.picks[frame_index] = self.picks.get(frame_index, Picks()).with_promoted(objects)

    def demote(self, object_ids: Set[int]) -> list[FrameIndex]:
        """Let objects that are gone be candidates again, and return their frames."""
        frame_indices = [
            frame_index
            for frame_index, picks in self.picks.items()
            if not object_ids.isdisjoint(picks.promoted.values())
        ]
        for frame_index in frame_indices:
            self.picks[frame_index] = self.picks[frame_index].without_objects(object_ids)
        return frame_indices

    def outdated(self) -> list[FrameIndex]:
        """Return the frames that are drawn with other levels than they should be."""
        frame_indices = self.store.frame_indices()
        return [
            frame_index
            for frame_index in frame_indices
            if self.drawn.get(frame_index) != self.selection_at(frame_index)
        ]

    def is_candidate(self, frame_index: FrameIndex, position: int) -> bool:
        """Whether there is such a candidate on a frame, and it was not promoted."""
        candidate_filter = self.store.candidate_filter(frame_index)
        is_there = candidate_filter is not None and position < len(candidate_filter.candidates)
        return is_there and position not in self.picks.get(frame_index, Picks()).promoted

    def is_shown(self, frame_index: FrameIndex, position: int) -> bool:
        """Whether a candidate is kept."""
        kept = self.kept_at(frame_index)
        return kept is not None and position in kept.positions

    def score(self, frame_index: FrameIndex, position: int) -> float:
        """Return how sure the model is of a candidate, 0..1."""
        return float(self.store.packed(frame_index).bare.scores[position])

    def box(self, frame_index: FrameIndex, position: int) -> Corners:
        """Return the box around a candidate: row, col, row, col of its outer edges."""
        top, left, bottom, right = self.store.packed(frame_index).bare.boxes[position].tolist()
        return top - 0.5, left - 0.5, bottom - 0.5, right - 0.5

    def mask(self, frame_index: FrameIndex, position: int) -> Mask:
        """Return the pixels of a candidate, as shown or to be shown."""
        kept = self.kept_at(frame_index)
        if kept is None:
            raise KeyError(frame_index)
        mask = kept.mask(position)
        if position not in kept.positions:
            return mask
        return replace(mask, crop=np.asarray(kept.labels_in(mask.box) == position + 1))

    def hidden_labels(self, frame_index: FrameIndex) -> NDArray[np.int32] | None:
        """Draw candidates that are not kept but might be, (H, W): value = position + 1."""
        kept = self.kept_at(frame_index)
        if kept is None:
            return None
        candidates = kept.candidate_filter.candidates
        labels = np.zeros(candidates.shape, np.int32)
        for position in self._outlined_positions(frame_index, kept)[::-1].tolist():
            mask = candidates.mask(position)
            labels[mask.box.slices][mask.crop] = position + 1
        return labels

    def candidate_count(self, frame_index: FrameIndex) -> CandidateCount | None:
        """Count the candidates of a frame; None where it was not searched."""
        kept = self.kept_at(frame_index)
        if kept is None:
            return None
        candidates = kept.candidate_filter.candidates
        scores = candidates.scores[kept.positions]
        return CandidateCount(
            kept.found,
            kept.below,
            kept.summary,
            (float(scores.min()), float(scores.max())) if len(scores) else None,
            candidates.tiles_searched,
            candidates.is_saturated,
            self.described.get(frame_index) == self.description,
        )

    def _outlined_positions(
        self, frame_index: FrameIndex, kept: KeptCandidates
    ) -> NDArray[np.int64]:
        candidate_filter = kept.candidate_filter
        promoted = self.picks.get(frame_index, Picks()).promoted
        is_shown = np.zeros(len(candidate_filter.candidates), bool)
        is_shown[kept.positions] = True
        is_hidden = ~is_shown & (candidate_filter.candidates.scores >= OUTLINED_SCORE)
        is_hidden[list(promoted)] = False
        hidden = np.flatnonzero(is_hidden)
        scores = candidate_filter.candidates.scores
        outlined = [
            position
            for position in hidden.tolist()
            if _overlapped_share(candidate_filter, position, is_shown) <= MOST_OVERLAP
        ]
        return np.array(sorted(outlined, key=lambda position: -scores[position]), np.int64)


def _overlapped_share(
    candidate_filter: CandidateFilter, position: int, is_shown: NDArray[np.bool_]
) -> float:
    """Return which share of a candidate the kept candidates, (N,), cover."""
    neighbours = candidate_filter.neighbours[position]
    return candidate_filter.overlapped_share(position, neighbours[is_shown[neighbours]])


BLOCK = 1024
"""Rows and columns of a part of a large frame that is drawn at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What a frame is to show of a concept."""

    selection: Selection  # by which the candidates were filtered
    kept: KeptCandidates | None  # None: nothing
    labels: NDArray[np.int32] | None = None  # (H, W), unless it is drawn in parts

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be seen."""
        return self.kept is None or not self.kept.found

    def parts(self, shape: tuple[int, int]) -> Iterator[tuple[Box, NDArray[np.int32]]]:
        """Draw a frame of this shape: boxes of it, and the labels (h, w) in them."""
        for box in boxes_of(shape):
            yield box, self._part(box)

    def _part(self, box: Box) -> NDArray[np.int32]:
        if self.labels is not None:
            return self.labels
        if self.kept is None:
            return np.zeros(box.shape, np.int32)
        return self.kept.labels_in(box)


def drawn(selection: Selection, kept: KeptCandidates) -> Drawing:
    """Draw the kept candidates, unless the frame is so large that it is drawn in parts."""
    is_split = len(boxes_of(kept.candidate_filter.candidates.shape)) > 1
    return Drawing(selection, kept, None if is_split else kept.labels)


def boxes_of(shape: tuple[int, int]) -> list[Box]:
    """Divide a frame of this shape into the boxes that it is drawn in."""
    rows, cols = shape
    if not is_large(shape):
        return [Box.whole(shape)]
    corners = product(range(0, rows, BLOCK), range(0, cols, BLOCK))
    return [
        Box(top, left, min(top + BLOCK, rows), min(left + BLOCK, cols)) for top, left in corners
    ]

"""One concept: what describes it, what was found of it, and what of that is shown."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..engine import Candidates, Chosen, Exemplar, PixelBox, Selection, Sieve, choose, position_at
from ..layers.axes import Place
from ..layers.candidate_layers import ConceptSheet
from ..layers.exemplar_layer import DrawnBox
from .candidate_shelf import CandidateShelf
from .picks import Picks

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
class Tally:
    """What there is to tell of a concept on one frame."""

    shown: int
    below: int  # the threshold
    told: str  # "37 found, 12 below"
    scores: tuple[float, float] | None  # lowest and highest of those shown, 0..1
    windows: int  # pictures that the model was asked about
    is_saturated: bool  # whether some may be missing
    is_current: bool  # whether it was found with the description as it is now


@dataclass(slots=True, eq=False)
class FoundConcept:
    """A concept of one image; frames are named by their places."""

    id: int
    name: str
    description: Description
    levels: Selection = field(default_factory=Selection)  # the sliders, without picks
    sheet: ConceptSheet | None = None  # made when something is drawn
    shelf: CandidateShelf = field(default_factory=CandidateShelf)
    picks: dict[Place, Picks] = field(default_factory=dict)
    drawn: dict[Place, Selection] = field(default_factory=dict)  # how frames were last drawn
    described: dict[Place, Description] = field(default_factory=dict)  # when they were asked
    _chosen: tuple[Place, Selection, Chosen] | None = None

    def put(
        self,
        place: Place,
        description: Description,
        candidates: Candidates,
        region: Region | None = None,
    ) -> None:
        """Take what was found on a frame; what was picked there before stays picked.

        So does what was found beside the region that was looked at, unless something else is
        meant by now.
        """
        before = self.shelf.sieve(place)
        if before is not None and region and self.described.get(place) == description:
            candidates = candidates.replacing(before.candidates, region)
        if before is not None and place in self.picks:
            self.picks[place] = self.picks[place].carried(before.candidates, candidates)
        self.shelf.put(place, candidates)
        self.described[place] = description
        self.drawn.pop(place, None)
        self._chosen = None

    def clear(self) -> None:
        """Forget all candidates and picks; frames that were drawn are to be drawn empty."""
        for place in self.shelf.places():
            self.shelf.drop(place)
        self.picks.clear()
        self.described.clear()
        self._chosen = None

    def selection_at(self, place: Place) -> Selection:
        """Return the levels with what was picked on a frame."""
        return self.picks.get(place, Picks()).applied(self.levels)

    def chosen_at(self, place: Place) -> Chosen | None:
        """Choose among the candidates of a frame; None where nothing was looked for."""
        sieve = self.shelf.sieve(place)
        if sieve is None:
            return None
        selection = self.selection_at(place)
        if self._chosen is None or self._chosen[:2] != (place, selection):
            self._chosen = place, selection, choose(sieve, selection)
        return self._chosen[2]

    def position_at(self, place: Place, row: float, col: float) -> int | None:
        """Return which candidate is at a pixel, the shown ones first, unless it is an object."""
        sieve = self.shelf.sieve(place)
        if sieve is None:
            return None
        position = position_at(sieve, self.selection_at(place), row, col)
        return None if position in self.picks.get(place, Picks()).taken else position

    def toggle(self, place: Place, position: int) -> None:
        """Throw a shown candidate out, or take a hidden one in."""
        sieve = self.shelf.sieve(place)
        if sieve is None:
            return
        toggled = self.selection_at(place).toggled(sieve, position)
        self.picks[place] = self.picks.get(place, Picks()).after(toggled)

    def take(self, place: Place, objects: dict[int, int]) -> None:
        """Note which candidates became which objects; they are shown no longer."""
        self.picks[place] = self.picks.get(place, Picks()).taking(objects)

    def give_back(self, object_ids: Set[int]) -> list[Place]:
        """Let candidates count again whose objects are gone, and return where they are."""
        places = [
            place
            for place, one in self.picks.items()
            if not object_ids.isdisjoint(one.taken.values())
        ]
        for place in places:
            self.picks[place] = self.picks[place].without_objects(object_ids)
        return places

    def outdated(self) -> list[Place]:
        """Return the frames that are drawn with other levels than they should be."""
        places = self.shelf.places()
        return [place for place in places if self.drawn.get(place) != self.selection_at(place)]

    def is_candidate(self, place: Place, position: int) -> bool:
        """Whether there is such a candidate on a frame, and it is no object."""
        sieve = self.shelf.sieve(place)
        is_there = sieve is not None and position < len(sieve.candidates)
        return is_there and position not in self.picks.get(place, Picks()).taken

    def is_shown(self, place: Place, position: int) -> bool:
        """Whether a candidate counts."""
        chosen = self.chosen_at(place)
        return chosen is not None and position in chosen.positions

    def score(self, place: Place, position: int) -> float:
        """Return how sure the model is of a candidate, 0..1."""
        return float(self.shelf.packed(place).bare.scores[position])

    def box(self, place: Place, position: int) -> tuple[float, float, float, float]:
        """Return the box around a candidate: row, col, row, col of its outer edges."""
        top, left, bottom, right = self.shelf.packed(place).bare.boxes[position].tolist()
        return top - 0.5, left - 0.5, bottom - 0.5, right - 0.5

    def mask(self, place: Place, position: int) -> tuple[PixelBox, NDArray[np.bool_]]:
        """Return a box and the pixels (h, w) of a candidate in it, as shown or to be shown."""
        chosen = self.chosen_at(place)
        if chosen is None:
            raise KeyError(place)
        (rows, cols), crop = chosen.crop(position)
        box = rows.start, cols.start, rows.stop, cols.stop
        if position not in chosen.positions:
            return box, crop
        return box, np.asarray(chosen.labels_in(rows, cols) == position + 1)

    def hidden_labels(self, place: Place) -> NDArray[np.int32] | None:
        """Draw candidates that do not count but might, (H, W): value = position + 1."""
        chosen = self.chosen_at(place)
        if chosen is None:
            return None
        candidates = chosen.sieve.candidates
        labels = np.zeros(candidates.shape, np.int32)
        for position in self._worth_a_glance(place, chosen)[::-1].tolist():
            rows, cols = chosen.sieve.place(position)
            labels[rows, cols][candidates.masks[position]] = position + 1
        return labels

    def tally(self, place: Place) -> Tally | None:
        """Tell what was found on a frame, or None where nothing was looked for."""
        chosen = self.chosen_at(place)
        if chosen is None:
            return None
        candidates = chosen.sieve.candidates
        scores = candidates.scores[chosen.positions]
        return Tally(
            chosen.found,
            chosen.below,
            chosen.told,
            (float(scores.min()), float(scores.max())) if len(scores) else None,
            candidates.windows_looked_at,
            candidates.is_saturated,
            self.described.get(place) == self.description,
        )

    def _worth_a_glance(self, place: Place, chosen: Chosen) -> NDArray[np.int64]:
        sieve, taken = chosen.sieve, self.picks.get(place, Picks()).taken
        is_shown = np.zeros(len(sieve.candidates), bool)
        is_shown[chosen.positions] = True
        is_hidden = ~is_shown & (sieve.candidates.scores >= WORTH_A_GLANCE)
        is_hidden[list(taken)] = False
        hidden = np.flatnonzero(is_hidden)
        seen = [one for one in hidden.tolist() if _share(sieve, one, is_shown) <= MOSTLY]
        return np.array(sorted(seen, key=lambda one: -sieve.candidates.scores[one]), np.int64)


def _share(sieve: Sieve, position: int, is_shown: NDArray[np.bool_]) -> float:
    """Return how much of a candidate those cover that are shown, (N,)."""
    others = sieve.neighbours[position]
    return sieve.covered(position, others[is_shown[others]])

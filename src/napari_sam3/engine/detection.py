"""Finding all objects of a frame, without prompts or by what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..values import (
    Candidates,
    Concept,
    Corners,
    Exemplar,
    ModelError,
    PromptError,
    Prompts,
    cut_thumbnail,
)
from .backends.base import Backend, Embedding, reads_no_exemplars, reads_no_text
from .backends.clip.clip import Clip, Phrase, ranked_on_frame, suggested_on_frame
from .backends.clip.enhanced_phrases import check_english, is_foreign
from .images.model_input import ModelInput
from .images.stitching import ALIKE, OVERLAP, collected, fragment_pairs, merged, tiles_of
from .images.tiling import SIDE, window_around
from .images.windows import Window
from .model import Model
from .scheduling import Turn

SMALLEST = 128
"""No window is split into parts with fewer rows or columns."""
PART = 0.6
"""Rows and columns of a part, relative to those of the window that is split."""
AROUND = 0.125
"""What is seen around a region, relative to its sides."""

Search = Callable[[Embedding], Candidates]
"""Finds the objects on an embedded frame."""
PartSearch = Callable[[Embedding, Window], Candidates]
"""Finds the objects on an embedded window of a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Searcher:
    """Searches one frame, and takes a turn at the model for every picture of it."""

    model: Model
    picture: ModelInput  # the whole frame
    turn: Turn
    search: Search
    in_parts: Callable[[], PartSearch]  # made before a first window is looked at, if any is

    def found(self, region: Corners | None) -> Candidates:
        """Find the objects of the frame whose middle is in a region.

        A frame that is not too large is looked at as a whole, since its embedding serves clicks as
        well. Where a model has named as many objects as it can, the region is looked at in four
        overlapping parts, and each of them again, until nothing is left over.
        """
        frames = self.picture.frames
        if frames.is_large:
            found = self._merged(tiles_of(frames, region))
        else:
            with self.model.embedded(self.picture, self.turn) as embedding:
                found = replace(self.search(embedding), tiles_searched=1)
            if found.is_saturated:
                found = self._split(found, region)
        return replace(found, frame=self.picture.frame).within(region)

    def _split(self, found: Candidates, region: Corners | None) -> Candidates:
        whole = Window(0, 0, 0, *found.shape)
        window = whole if region is None else window_on(region, whole.shape)
        parts = parts_of(whole) if window == whole else [window]
        return self._merged(parts) if parts else found

    def _merged(self, windows: Iterable[Window]) -> Candidates:
        search = self.in_parts()
        parts = (part for window in windows for part in self._parts(window, search))
        found = merged(parts, self.picture.frames.shape)
        return found.taken(np.argsort(-found.scores, kind="stable"))

    def _parts(self, window: Window, search: PartSearch) -> Iterator[tuple[Window, Candidates]]:
        picture = replace(self.picture, window=window)
        with self.model.embedded(picture, self.turn) as embedding:
            found = replace(search(embedding, window), tiles_searched=1)
        parts = parts_of(window) if found.is_saturated else []
        if not parts:
            yield window, found
        for part in parts:
            yield from self._parts(part, search)


def parts_of(window: Window) -> list[Window]:
    """Split a window into four that overlap, or into two or none where four would be too small."""
    rows, cols = (
        _halves(*side) for side in ((window.top, window.height), (window.left, window.width))
    )
    parts = [
        Window(window.level, top, left, height, width)
        for top, height in rows
        for left, width in cols
    ]
    return parts if len(parts) > 1 else []


def _halves(first: int, size: int) -> list[tuple[int, int]]:
    """Split one side of a window: first pixels and sizes of its parts."""
    part = int(np.ceil(size * PART))
    return [(first, size)] if part < SMALLEST else [(first, part), (first + size - part, part)]


def window_on(region: Corners, shape: tuple[int, int]) -> Window:
    """Return the window that shows a region of a frame (H, W) and some of its surroundings."""
    first, last = np.sort(np.reshape(region, (2, 2)), axis=0)
    around = np.maximum(AROUND * (last - first), (SMALLEST - (last - first)) / 2)
    top, left = np.floor(first - around).clip(0, np.array(shape) - 1).astype(int).tolist()
    bottom, right = np.ceil(last + around + 1).clip(1, shape).astype(int).tolist()
    return Window(0, top, left, bottom - top, right - left)


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """A concept, and who reads its words."""

    concept: Concept
    backend: Backend
    clip: Clip | None = None  # ranks what a backend without words finds, or once more what it found

    @property
    def phrase(self) -> Phrase:
        """What its text says."""
        return Phrase.parse(self.concept.text or "")

    def check(self) -> None:
        """Refuse a text that nobody here reads, not to its end, or not in its language.

        Raises
        ------
        ModelError
            If there is no text model and the backend reads no words.
        PromptError
            If the text cannot be understood.
        """
        if not self.concept.has_text:
            return
        phrase = self.phrase
        if self.clip is not None:
            self.clip.check(phrase)
        elif not self.backend.reads_text:
            raise reads_no_text(self.backend.name)
        else:
            check_english(str(phrase), self.backend.name)

    def search(self, embedding: Embedding) -> Candidates:
        """Find all on one picture that may be meant."""
        if not self.concept.has_text:
            return self.backend.find(embedding, self.concept)
        if self._is_read_by_backend:
            return self._found_by_words(embedding)
        shown = replace(self.concept, text=None)
        if shown.is_empty:
            return self.backend.everything(embedding)
        return self.backend.find(embedding, shown)

    def ranked(self, picture: ModelInput, found: Candidates) -> Candidates:
        """Let the text model, if there is one, say how well what was found fits the text."""
        if self.clip is None or not self.concept.has_text:
            return found
        return ranked_on_frame(self.clip, picture, found, self.phrase)

    @property
    def _is_read_by_backend(self) -> bool:
        if self.clip is None or not self.clip.is_multilingual:
            return self.backend.reads_text
        return self.backend.reads_text and not is_foreign(self.concept.text or "")

    def _found_by_words(self, embedding: Embedding) -> Candidates:
        phrase = self.phrase
        wanted = [
            self.backend.find(embedding, replace(self.concept, text=word)) for word in phrase.wanted
        ]
        found = wanted[0] if len(wanted) == 1 else merged(_whole(wanted), wanted[0].shape)
        for word in phrase.unwanted:
            found = doubted(found, self.backend.find(embedding, Concept(word)))
        return found


def doubted(found: Candidates, unwanted: Candidates) -> Candidates:
    """Lower the scores of candidates that are as well something unwanted.

    They stay, so that they can be clicked back in. What is surely unwanted, with a score of 0.9,
    is left with 0.1 at most.
    """
    count = len(found)
    scores = found.scores.copy()
    for pair in fragment_pairs(collected(_whole([found, unwanted]), found.shape)):
        if pair.similarity >= ALIKE:
            refused = float(unwanted.scores[pair.other - count])
            scores[pair.one] = min(scores[pair.one], 1 - refused)
    return replace(found, scores=np.clip(scores, 0, 1))


def suggests_nothing() -> ModelError:
    """Return the error of a session without a text model that is asked for phrases."""
    return ModelError(
        "Only a text model can suggest phrases: choose one, such as BiomedCLIP, in the Model panel."
    )


def _whole(parts: Sequence[Candidates]) -> list[tuple[Window, Candidates]]:
    """Say of candidates that they are of the whole picture."""
    return [(Window(0, 0, 0, *part.shape), part) for part in parts]


def extent(box: Corners) -> Corners:
    """Return a box as its first row and column, then its last ones."""
    first, last = np.sort(np.reshape(box, (2, 2)), axis=0).tolist()
    return first[0], first[1], last[0], last[1]


def moved(box: Corners, window: Window) -> Corners | None:
    """Return a box of the frame in pixels of a window, or None if it is not on it as a whole."""
    corners = window.points(np.reshape(extent(box), (2, 2)))
    if (corners < -0.5).any() or (corners > np.array(window.shape) - 0.5).any():
        return None
    row0, col0, row1, col1 = corners.ravel().tolist()
    return row0, col0, row1, col1


def on_window(concept: Concept, carried: Concept, window: Window) -> Concept:
    """Return a concept of a frame for a window of it.

    Parameters
    ----------
    concept : Concept
        Its boxes lie on the frame.
    carried : Concept
        The same one with an exemplar for every box, which stands for it on windows without it.
    window : Window
        The part of the frame that is searched.
    """
    return Concept(
        concept.text,
        _shown(concept.exemplars, carried.exemplars, window),
        _shown(concept.negatives, carried.negatives, window),
    )


def _shown(
    drawn: Sequence[Corners | Exemplar], carried: Sequence[Corners | Exemplar], window: Window
) -> list[Corners | Exemplar]:
    shown: list[Corners | Exemplar] = []
    for one, other in zip(drawn, carried, strict=True):
        box = None if isinstance(one, Exemplar) else moved(one, window)
        shown.append(other if box is None else box)
    return shown


class Detection:
    """Finds objects on the frames of one stack."""

    def __init__(self, model: Model, stack: ModelInput) -> None:
        self._model = model
        self._stack = stack
        self._latest: tuple[int, Window | None, NDArray[np.float32]] | None = None

    def everything(self, frame: int, region: Corners | None, turn: Turn) -> Candidates:
        """Find all objects of a frame whose middle is in a region, without prompts."""
        search, picture = self._model.backend.everything, replace(self._stack, frame=frame)
        return Searcher(self._model, picture, turn, search, lambda: _alike(search)).found(region)

    def found(self, frame: int, concept: Concept, region: Corners | None, turn: Turn) -> Candidates:
        """Find all objects of a frame whose middle is in a region, and that a concept describes."""
        picture = replace(self._stack, frame=frame)
        wording, in_parts = self._wording(concept), partial(self._in_parts, frame, concept, turn)
        searcher = Searcher(self._model, picture, turn, wording.search, in_parts)
        return wording.ranked(picture, searcher.found(region))

    def exemplar(self, frame: int, box: Corners, turn: Turn) -> Exemplar:
        """Return the object in a box of a frame, to find similar ones on any image."""
        [shown] = self.checked(Concept(exemplars=[box])).boxes
        backend = self._model.backend
        picture, place = self._around(frame, shown)
        with self._model.embedded(picture, turn) as embedding:
            appearance = backend.appearance(embedding, place)
        portrait = cut_thumbnail(self._drawn(picture), place)
        return Exemplar(appearance, backend.name, backend.revision, *portrait)

    def carried(self, frame: int, concept: Concept, turn: Turn) -> Concept:
        """Turn the boxes of a concept, which lie on a frame, into exemplars for any image."""
        if not concept.boxes:
            return concept
        kinds = (concept.exemplars, concept.negatives)
        meant, others = ([self._carried(frame, one, turn) for one in kind] for kind in kinds)
        return Concept(concept.text, meant, others)

    def suggestions(
        self, candidates: Candidates, positions: Sequence[int]
    ) -> list[tuple[str, float]]:
        """Return which phrases fit some candidates of a frame, with their shares in 0..1."""
        if self._model.clip is None:
            raise suggests_nothing()
        picture = replace(self._stack, frame=candidates.frame)
        return suggested_on_frame(self._model.clip, picture, candidates, positions)

    def checked(self, concept: Concept) -> Concept:
        """Return a concept whose boxes end where a frame does.

        One that the model cannot read, or that says nothing, is refused.
        """
        backend = self._model.backend
        self._wording(concept).check()
        if (concept.boxes or concept.shown) and not backend.reads_exemplars:
            raise reads_no_exemplars(backend.name)
        if concept.is_empty:
            raise PromptError("Nothing says what to find: type a text or draw a box around one.")
        if concept.boxes:
            Prompts(boxes=concept.boxes).check(self._stack.frames.shape)
        for one in concept.shown:
            one.check(backend.name, backend.revision)
        return concept.clipped(self._stack.frames.shape)

    def _wording(self, concept: Concept) -> Wording:
        return Wording(concept, self._model.backend, self._model.clip)

    def _around(self, frame: int, box: Corners) -> tuple[ModelInput, Corners]:
        """Return what is looked at to see the object in a box, and the box in its pixels."""
        whole = replace(self._stack, frame=frame)
        if not whole.frames.is_large:
            return whole, box
        window = window_around(extent(box), 0, whole.frames.shape)
        place = moved(box, window)
        if place is None:
            raise PromptError(
                f"An exemplar on so large an image is at most {SIDE - OVERLAP} pixels wide and "
                "high: draw a box around a smaller object."
            )
        return replace(whole, window=window), place

    def _drawn(self, picture: ModelInput) -> NDArray[np.float32]:
        """Draw a picture, (H, W, 3); the last one is held, since exemplars share a frame."""
        latest = self._latest
        if latest is None or latest[:2] != (picture.frame, picture.window):
            latest = self._latest = picture.frame, picture.window, picture.draw()
        return latest[2]

    def _in_parts(self, frame: int, concept: Concept, turn: Turn) -> PartSearch:
        """Return a search for windows, on which boxes lie elsewhere or are not seen at all."""
        carried = self.carried(frame, concept, turn)

        def search(seen: Embedding, window: Window) -> Candidates:
            return self._wording(on_window(concept, carried, window)).search(seen)

        return search

    def _carried(self, frame: int, one: Corners | Exemplar, turn: Turn) -> Exemplar:
        return one if isinstance(one, Exemplar) else self.exemplar(frame, one, turn)


def _alike(search: Search) -> PartSearch:
    """Search windows the way a frame is searched."""
    return lambda seen, _: search(seen)

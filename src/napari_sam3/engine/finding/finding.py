"""Finding all objects of a frame, without prompts or by what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..backend import Embedding, reads_no_exemplars
from ..clip.frames import suggested_on_frame
from ..errors import PromptError
from ..images.seams import OVERLAP
from ..images.window_choice import SIDE, window_around
from ..images.windows import Window
from ..model import Model, Picture
from ..prompts import Prompts
from ..turns import Turn
from .concept_windows import extent, moved, on_window
from .concepts import Candidates, Concept
from .exemplars import Box, Exemplar, pictured
from .searching import PartSearch, Search, Searcher
from .wording import Wording, suggests_nothing


class Finding:
    """Finds objects on the frames of one stack."""

    def __init__(self, model: Model, stack: Picture) -> None:
        self._model = model
        self._stack = stack
        self._latest: tuple[int, Window | None, NDArray[np.float32]] | None = None

    def everything(self, frame: int, region: Box | None, turn: Turn) -> Candidates:
        """Find all objects of a frame whose middle is in a region, without prompts."""
        search, picture = self._model.backend.everything, replace(self._stack, frame=frame)
        return Searcher(self._model, picture, turn, search, lambda: _alike(search)).found(region)

    def found(self, frame: int, concept: Concept, region: Box | None, turn: Turn) -> Candidates:
        """Find all objects of a frame whose middle is in a region, and that a concept describes."""
        picture = replace(self._stack, frame=frame)
        wording, in_parts = self._wording(concept), partial(self._in_parts, frame, concept, turn)
        searcher = Searcher(self._model, picture, turn, wording.search, in_parts)
        return wording.ranked(picture, searcher.found(region))

    def exemplar(self, frame: int, box: Box, turn: Turn) -> Exemplar:
        """Return the object in a box of a frame, to find similar ones on any image."""
        [shown] = self.checked(Concept(exemplars=[box])).boxes
        backend = self._model.backend
        picture, place = self._around(frame, shown)
        with self._model.embedded(picture, turn) as embedding:
            appearance = backend.appearance(embedding, place)
        portrait = pictured(self._drawn(picture), place)
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

    def _around(self, frame: int, box: Box) -> tuple[Picture, Box]:
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

    def _drawn(self, picture: Picture) -> NDArray[np.float32]:
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

    def _carried(self, frame: int, one: Box | Exemplar, turn: Turn) -> Exemplar:
        return one if isinstance(one, Exemplar) else self.exemplar(frame, one, turn)


def _alike(search: Search) -> PartSearch:
    """Search windows the way a frame is searched."""
    return lambda seen, _: search(seen)

"""Detecting all objects of a frame: without prompts, or by a concept (a text, exemplars)."""

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
from .images.frames import Window
from .images.model_input import ModelInput
from .images.stitching import SAME_OBJECT_IOU, fragment_pairs, fragments_of, stitched
from .images.tiling import TILE_OVERLAP, WINDOW_SIDE, tiles_of, window_around
from .model import Model
from .scheduling import Turn

MIN_SPLIT_SIDE = 128
"""No window is split into parts with fewer rows or columns."""
PART_SHARE = 0.6
"""Rows and columns of a part, relative to those of the window that is split."""
REGION_MARGIN = 0.125
"""Surroundings with which a region is encoded, relative to its sides."""

Detect = Callable[[Embedding], Candidates]
"""Detects objects on an encoded image."""
DetectInWindow = Callable[[Embedding, Window], Candidates]
"""Detects objects on an encoded window of a frame."""


class Detection:
    """Detects objects on the frames of one stack."""

    def __init__(self, model: Model, stack: ModelInput) -> None:
        self._model = model
        self._stack = stack
        self._latest: tuple[int, Window | None, NDArray[np.float32]] | None = None

    def everything(self, frame: int, region: Corners | None, turn: Turn) -> Candidates:
        """Detect all objects of a frame whose centre is in a region, without prompts."""
        detect, model_input = self._model.backend.everything, replace(self._stack, frame=frame)
        in_window = partial(_ignoring_window, detect)
        return FrameDetection(self._model, model_input, turn, detect, lambda: in_window).run(region)

    def find(self, frame: int, concept: Concept, region: Corners | None, turn: Turn) -> Candidates:
        """Detect all objects of a frame that fit a concept and whose centre is in a region."""
        model_input = replace(self._stack, frame=frame)
        query, in_windows = self._query(concept), partial(self._in_windows, frame, concept, turn)
        detection = FrameDetection(self._model, model_input, turn, query.detect, in_windows)
        return query.ranked(model_input, detection.run(region))

    def exemplar(self, frame: int, box: Corners, turn: Turn) -> Exemplar:
        """Return the object in a box of a frame as an exemplar for any image."""
        [clipped] = self.checked(Concept(exemplars=[box])).boxes
        backend = self._model.backend
        model_input, own_box = self._around(frame, clipped)
        with self._model.embedding(model_input, turn) as embedding:
            appearance = backend.appearance(embedding, own_box)
        thumbnail = cut_thumbnail(self._image(model_input), own_box)
        return Exemplar(appearance, backend.name, backend.revision, *thumbnail)

    def with_exemplars(self, frame: int, concept: Concept, turn: Turn) -> Concept:
        """Turn the boxes of a concept, which lie on a frame, into exemplars for any image."""
        if not concept.boxes:
            return concept

        def exemplar(drawn: Corners | Exemplar) -> Exemplar:
            return drawn if isinstance(drawn, Exemplar) else self.exemplar(frame, drawn, turn)

        exemplars = [exemplar(drawn) for drawn in concept.exemplars]
        return Concept(concept.text, exemplars, [exemplar(drawn) for drawn in concept.negatives])

    def suggestions(
        self, candidates: Candidates, positions: Sequence[int]
    ) -> list[tuple[str, float]]:
        """Return the phrases that fit some candidates of a frame, with their shares in 0..1.

        Raises
        ------
        ModelError
            If there is no text model.
        """
        if self._model.clip is None:
            raise ModelError(
                "Only a text model can suggest phrases: choose one, such as BiomedCLIP, in the "
                "Model panel."
            )
        model_input = replace(self._stack, frame=candidates.frame)
        return suggested_on_frame(self._model.clip, model_input, candidates, positions)

    def checked(self, concept: Concept) -> Concept:
        """Return a concept whose boxes end where a frame does.

        Raises
        ------
        ModelError
            If the model reads no texts, or no exemplars, or none of another model.
        PromptError
            If the concept is empty, or its boxes lie outside the frame.
        """
        backend = self._model.backend
        self._query(concept).check()
        if (concept.boxes or concept.shown) and not backend.reads_exemplars:
            raise reads_no_exemplars(backend.name)
        if concept.is_empty:
            raise PromptError("Nothing says what to find: type a text or draw a box around one.")
        if concept.boxes:
            Prompts(boxes=concept.boxes).check(self._stack.frames.shape)
        for exemplar in concept.shown:
            exemplar.check(backend.name, backend.revision)
        return concept.clipped(self._stack.frames.shape)

    def _query(self, concept: Concept) -> ConceptQuery:
        return ConceptQuery(concept, self._model.backend, self._model.clip)

    def _around(self, frame: int, box: Corners) -> tuple[ModelInput, Corners]:
        """Return the model input that shows the object in a box, and the box in its pixels."""
        whole = replace(self._stack, frame=frame)
        if not whole.frames.is_large:
            return whole, box
        window = window_around(ordered_corners(box), 0, whole.frames.shape)
        own_box = box_on_window(box, window)
        if own_box is None:
            raise PromptError(
                f"An exemplar on so large an image is at most {WINDOW_SIDE - TILE_OVERLAP} pixels "
                "wide and high: draw a box around a smaller object."
            )
        return replace(whole, window=window), own_box

    def _image(self, model_input: ModelInput) -> NDArray[np.float32]:
        """Return an image, (H, W, 3); the latest one is kept, since exemplars share a frame."""
        latest = self._latest
        if latest is None or latest[:2] != (model_input.frame, model_input.window):
            image = model_input.draw()
            latest = self._latest = model_input.frame, model_input.window, image
        return latest[2]

    def _in_windows(self, frame: int, concept: Concept, turn: Turn) -> DetectInWindow:
        """Return what detects a concept in windows, in which boxes lie elsewhere or not at all."""
        by_exemplars = self.with_exemplars(frame, concept, turn)

        def detect(embedding: Embedding, window: Window) -> Candidates:
            return self._query(concept_on_window(concept, by_exemplars, window)).detect(embedding)

        return detect


@dataclass(frozen=True, slots=True, eq=False)
class FrameDetection:
    """Detects the objects of one frame, in a turn at the model for each image that is encoded."""

    model: Model
    model_input: ModelInput  # the whole frame
    turn: Turn
    detect: Detect
    in_windows: Callable[[], DetectInWindow]  # made before the first window, if there is one

    def run(self, region: Corners | None) -> Candidates:
        """Return the candidates whose centre is in a region.

        A frame that is not large is encoded as a whole, since its embedding serves clicks as well.
        Where a model has returned as many candidates as it can, the region is split into four
        overlapping parts, and each of them again, until no object is missing.
        """
        frames = self.model_input.frames
        if frames.is_large:
            candidates = self._stitched(tiles_of(frames, region))
        else:
            with self.model.embedding(self.model_input, self.turn) as embedding:
                candidates = replace(self.detect(embedding), tiles_searched=1)
            if candidates.is_saturated:
                candidates = self._split(candidates, region)
        return replace(candidates, frame=self.model_input.frame).within(region)

    def _split(self, candidates: Candidates, region: Corners | None) -> Candidates:
        whole = Window(0, 0, 0, *candidates.shape)
        window = whole if region is None else region_window(region, whole.shape)
        windows = split_window(whole) if window == whole else [window]
        return self._stitched(windows) if windows else candidates

    def _stitched(self, windows: Iterable[Window]) -> Candidates:
        """Return the candidates of windows together, best first."""
        detect = self.in_windows()
        parts = (part for window in windows for part in self._parts(window, detect))
        candidates = stitched(parts, self.model_input.frames.shape)
        return candidates.taken(np.argsort(-candidates.scores, kind="stable"))

    def _parts(self, window: Window, detect: DetectInWindow) -> Iterator[tuple[Window, Candidates]]:
        """Yield the candidates of a window, or of the parts that it has to be split into."""
        model_input = replace(self.model_input, window=window)
        with self.model.embedding(model_input, self.turn) as embedding:
            candidates = replace(detect(embedding, window), tiles_searched=1)
        windows = split_window(window) if candidates.is_saturated else []
        if not windows:
            yield window, candidates
        for part in windows:
            yield from self._parts(part, detect)


@dataclass(frozen=True, slots=True, eq=False)
class ConceptQuery:
    """A concept, and the models that read it."""

    concept: Concept
    backend: Backend
    clip: Clip | None = None  # ranks the candidates of the backend, if there is a text

    @property
    def phrase(self) -> Phrase:
        """The text, parsed."""
        return Phrase.parse(self.concept.text or "")

    def check(self) -> None:
        """Refuse a text that is not read, too long, or in a language that is not read.

        Raises
        ------
        ModelError
            If there is no text model and the backend reads no texts.
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

    def detect(self, embedding: Embedding) -> Candidates:
        """Detect all objects of one image that the concept may describe."""
        if not self.concept.has_text:
            return self.backend.find(embedding, self.concept)
        if self._is_read_by_backend:
            return self._detect_by_text(embedding)
        without_text = replace(self.concept, text=None)
        if without_text.is_empty:
            return self.backend.everything(embedding)
        return self.backend.find(embedding, without_text)

    def ranked(self, model_input: ModelInput, candidates: Candidates) -> Candidates:
        """Return candidates with scores by the text model, if there is a text and a text model."""
        if self.clip is None or not self.concept.has_text:
            return candidates
        return ranked_on_frame(self.clip, model_input, candidates, self.phrase)

    @property
    def _is_read_by_backend(self) -> bool:
        if self.clip is None or not self.clip.is_multilingual:
            return self.backend.reads_text
        return self.backend.reads_text and not is_foreign(self.concept.text or "")

    def _detect_by_text(self, embedding: Embedding) -> Candidates:
        phrase = self.phrase
        by_word = [
            self.backend.find(embedding, replace(self.concept, text=word)) for word in phrase.wanted
        ]
        whole = by_word[0]
        candidates = whole if len(by_word) == 1 else stitched(_as_parts(by_word), whole.shape)
        for word in phrase.unwanted:
            candidates = penalised(candidates, self.backend.find(embedding, Concept(word)))
        return candidates


def penalised(candidates: Candidates, unwanted: Candidates) -> Candidates:
    """Lower the scores of candidates that overlap with unwanted ones.

    They stay, so that a user can accept them. Where an unwanted candidate has a score of 0.9, at
    most 0.1 is left.
    """
    count = len(candidates)
    scores = candidates.scores.copy()
    fragments = fragments_of(_as_parts([candidates, unwanted]), candidates.shape)
    for pair in fragment_pairs(fragments):
        if pair.similarity >= SAME_OBJECT_IOU:
            penalty = float(unwanted.scores[pair.second - count])
            scores[pair.first] = min(scores[pair.first], 1 - penalty)
    return replace(candidates, scores=np.clip(scores, 0, 1))


def _as_parts(images: Sequence[Candidates]) -> list[tuple[Window, Candidates]]:
    """Return candidates of a whole image with the window that shows all of it."""
    return [(Window(0, 0, 0, *candidates.shape), candidates) for candidates in images]


def _ignoring_window(detect: Detect, embedding: Embedding, window: Window) -> Candidates:
    return detect(embedding)


def split_window(window: Window) -> list[Window]:
    """Split a window into four that overlap, or into two or none where four would be too small."""
    rows, cols = (
        _split_side(*side) for side in ((window.top, window.height), (window.left, window.width))
    )
    parts = [
        Window(window.level, top, left, height, width)
        for top, height in rows
        for left, width in cols
    ]
    return parts if len(parts) > 1 else []


def _split_side(first: int, size: int) -> list[tuple[int, int]]:
    """Split one side of a window: first pixels and sizes of its parts."""
    part = int(np.ceil(size * PART_SHARE))
    if part < MIN_SPLIT_SIDE:
        return [(first, size)]
    return [(first, part), (first + size - part, part)]


def region_window(region: Corners, shape: tuple[int, int]) -> Window:
    """Return the window that shows a region of a frame (H, W) and some of its surroundings."""
    first, last = np.sort(np.reshape(region, (2, 2)), axis=0)
    margin = np.maximum(REGION_MARGIN * (last - first), (MIN_SPLIT_SIDE - (last - first)) / 2)
    top, left = np.floor(first - margin).clip(0, np.array(shape) - 1).astype(int).tolist()
    bottom, right = np.ceil(last + margin + 1).clip(1, shape).astype(int).tolist()
    return Window(0, top, left, bottom - top, right - left)


def concept_on_window(concept: Concept, by_exemplars: Concept, window: Window) -> Concept:
    """Return a concept of a frame for a window of it.

    Parameters
    ----------
    concept : Concept
        Its boxes lie on the frame.
    by_exemplars : Concept
        The same concept with an exemplar for every box, for windows that do not show it.
    window : Window
        The part of the frame that is searched.
    """
    return Concept(
        concept.text,
        _boxes_or_exemplars(concept.exemplars, by_exemplars.exemplars, window),
        _boxes_or_exemplars(concept.negatives, by_exemplars.negatives, window),
    )


def _boxes_or_exemplars(
    drawn: Sequence[Corners | Exemplar], exemplars: Sequence[Corners | Exemplar], window: Window
) -> list[Corners | Exemplar]:
    """Return the boxes that a window shows, in its pixels, and exemplars for all others."""
    shown: list[Corners | Exemplar] = []
    for box_or_exemplar, exemplar in zip(drawn, exemplars, strict=True):
        if isinstance(box_or_exemplar, Exemplar):
            shown.append(exemplar)
            continue
        box = box_on_window(box_or_exemplar, window)
        shown.append(exemplar if box is None else box)
    return shown


def box_on_window(box: Corners, window: Window) -> Corners | None:
    """Return a box of the frame in pixels of a window, or None if the window cuts it."""
    corners = window.points(np.reshape(ordered_corners(box), (2, 2)))
    if (corners < -0.5).any() or (corners > np.array(window.shape) - 0.5).any():
        return None
    row0, col0, row1, col1 = corners.ravel().tolist()
    return row0, col0, row1, col1


def ordered_corners(box: Corners) -> Corners:
    """Return a box with its top left corner first."""
    first, last = np.sort(np.reshape(box, (2, 2)), axis=0).tolist()
    return first[0], first[1], last[0], last[1]

"""From descriptions to candidates: searches one frame, or all frames of a stack."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from psygnal import Signal

from ..engine import Selection, Session, filter_candidates
from ..layers import DrawnBox
from ..values import CancelledError, Candidates, Exemplar, FrameIndex, FramesError, Sam3Error
from .concept import ConceptState, Description, Drawing, PackedCandidates, Region, drawn
from .concepts import Concepts
from .jobs import Jobs, Stream
from .propagation import Progress
from .view import Sessions, View

RequestKey = tuple[int, FrameIndex]
"""Id of a concept, and the frame that is searched for it."""


class Detection:
    """Searches frames for the concepts of one image."""

    changed = Signal()
    failed = Signal(str)
    detected = Signal(object, tuple)  # a ConceptState, and the index of the frame

    def __init__(
        self,
        concepts: Concepts,
        jobs: Jobs,
        sessions: Sessions,
        view_of: Callable[[FrameIndex], View],
    ) -> None:
        self._concepts = concepts
        self._jobs = jobs
        self._sessions = sessions
        self._view_of = view_of
        self._requested: set[RequestKey] = set()  # searches that wait or run
        self._stack_run: _StackRun | None = None
        self._redrawing: Stream | None = None

    def close(self) -> None:
        """Search nothing any more."""
        self.drop_requests()
        self.stop()
        self._stop_redrawing()

    @property
    def is_busy(self) -> bool:
        """Whether a frame or a stack is being searched."""
        return bool(self._requested) or self._stack_run is not None

    @property
    def progress(self) -> Progress | None:
        """How far a stack is searched, while it is."""
        return None if self._stack_run is None else self._stack_run.progress

    def find(
        self, concept: ConceptState, frame_index: FrameIndex, region: Region | None = None
    ) -> None:
        """Search a frame for a concept; a newer request for both replaces this one."""
        description = concept.description
        try:
            view = self._view_of(frame_index)
            exemplar_views = self._exemplar_views(description, besides=frame_index)
        except FramesError as error:
            self.failed.emit(str(error))
            return
        search = _Search(frame_index, description, region)
        key = concept.id, frame_index
        self._requested.add(key)
        self._jobs.submit(
            (self, key),
            partial(_search_frame, self._sessions, view, search, exemplar_views),
            partial(self._on_detected, concept, search),
            partial(self._on_search_failed, key),
        )
        self.changed.emit()

    def find_all(self, concepts: Sequence[ConceptState], frame_index: FrameIndex) -> None:
        """Search all frames of the stack through a frame for concepts."""
        self.stop()
        exemplar_views: dict[FrameIndex, View] = {}
        try:
            view = self._view_of(frame_index)
            for concept in concepts:
                exemplar_views |= self._exemplar_views(concept.description)
        except FramesError as error:
            self.failed.emit(str(error))
            return
        descriptions = {concept.id: concept.description for concept in concepts}
        self._stack_run = run = _StackRun(view, descriptions, monotonic())
        run.stream = self._jobs.stream(
            partial(_search_stack, self._sessions, view, descriptions, exemplar_views),
            partial(self._on_frame_searched, run),
            partial(self._on_run_ended, run),
        )
        self.changed.emit()

    def encode_exemplars(
        self, concept: ConceptState, done: Callable[[list[Exemplar]], None]
    ) -> None:
        """Let the model encode all boxes of a concept, and hand the exemplars over."""
        description = concept.description
        try:
            views = self._exemplar_views(description)
        except FramesError as error:
            self.failed.emit(str(error))
            return
        self._jobs.submit(
            (self, "exemplars"),
            partial(_encoded_exemplars, self._sessions, description, views),
            done,
            self._on_request_failed,
        )

    def stop(self, reason: str = "") -> None:
        """Stop searching the stack before the next frame; the candidates so far are kept."""
        run, self._stack_run = self._stack_run, None
        if run is None:
            return
        if run.stream is not None:
            run.stream.stop()
        self._end(reason)

    def drop_requests(self) -> None:
        """Drop the searches of single frames."""
        if not self._requested:
            return
        for key in self._requested:
            self._jobs.forget((self, key))
        self._requested.clear()
        self.changed.emit()

    def redraw_outdated(self, concept: ConceptState) -> None:
        """Draw a concept anew on all frames that were drawn with earlier levels."""
        self._stop_redrawing()
        outdated = [
            (frame_index, concept.selection_at(frame_index), concept.store.packed(frame_index))
            for frame_index in concept.outdated()
        ]
        if outdated:
            self._redrawing = self._jobs.stream(
                partial(_redrawn, outdated),
                partial(self._on_redrawn, concept),
                self._on_redrawing_ended,
            )

    def _exemplar_views(
        self, description: Description, besides: FrameIndex | None = None
    ) -> dict[FrameIndex, View]:
        """Return the views of frames on which exemplars were drawn, all but one frame."""
        frame_indices = {box.frame_index for box in description.boxes} - {besides}
        return {index: self._view_of(index) for index in sorted(frame_indices)}

    def _on_detected(self, concept: ConceptState, search: _Search, candidates: Candidates) -> None:
        self._requested.discard((concept.id, search.frame_index))
        self._concepts.put(
            concept, search.frame_index, search.description, candidates, search.region
        )
        self.detected.emit(concept, search.frame_index)
        self.changed.emit()

    def _on_search_failed(self, key: RequestKey, error: Sam3Error) -> None:
        self._requested.discard(key)
        self._on_request_failed(error)

    def _on_request_failed(self, error: Sam3Error) -> None:
        if not isinstance(error, CancelledError):  # who stops something knows about it
            self.failed.emit(str(error))
        self.changed.emit()

    def _on_frame_searched(self, run: _StackRun, result: tuple[int, Candidates]) -> None:
        if run is not self._stack_run:
            return
        concept_id, candidates = result
        run.done += 1
        frame_index = run.view.axes.frame_index(candidates.frame)
        for concept in self._concepts:
            if concept.id == concept_id:
                self._concepts.put(concept, frame_index, run.descriptions[concept_id], candidates)
                self.detected.emit(concept, frame_index)

    def _on_run_ended(self, run: _StackRun, error: Sam3Error | None) -> None:
        if run is self._stack_run:
            self._stack_run = None
            self._end("" if error is None else str(error))

    def _end(self, message: str) -> None:
        if message:
            self.failed.emit(message)
        self.changed.emit()

    def _on_redrawn(self, concept: ConceptState, redrawn: tuple[FrameIndex, Drawing]) -> None:
        frame_index, drawing = redrawn
        if concept.selection_at(frame_index) == drawing.selection:
            self._concepts.write(concept, frame_index, drawing)

    def _on_redrawing_ended(self, error: Sam3Error | None) -> None:
        if error is not None:
            self.failed.emit(str(error))

    def _stop_redrawing(self) -> None:
        redrawing, self._redrawing = self._redrawing, None
        if redrawing is not None:
            redrawing.stop()


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """What is searched on one frame."""

    frame_index: FrameIndex
    description: Description
    region: Region | None  # None: the whole frame


@dataclass(slots=True, eq=False)
class _StackRun:
    """Concepts that all frames of a stack are being searched for."""

    view: View
    descriptions: dict[int, Description]  # by concept
    started: float  # in seconds of the monotonic clock
    done: int = 0  # candidates of a concept on a frame
    stream: Stream | None = None

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        total = self.view.axes.count * len(self.descriptions)
        return Progress(self.done, total, monotonic() - self.started)


def _search_frame(
    sessions: Sessions, view: View, search: _Search, exemplar_views: Mapping[FrameIndex, View]
) -> Candidates:
    session, description = sessions.of(view), search.description
    frame = view.axes.frame_of(search.frame_index)
    if description.is_everything:
        return session.everything(frame, search.region)
    boxes = [box for box in description.boxes if box.frame_index == search.frame_index]
    encoded = _encoded_exemplars(sessions, description, exemplar_views)
    return session.find(
        frame,
        description.text or None,
        exemplars=[*(box.box for box in boxes if box.is_positive), *encoded],
        negatives=[box.box for box in boxes if not box.is_positive],
        region=search.region,
    )


def _search_stack(
    sessions: Sessions,
    view: View,
    descriptions: Mapping[int, Description],
    exemplar_views: Mapping[FrameIndex, View],
) -> Generator[tuple[int, Candidates], None, None]:
    """Search every frame of a stack, for all descriptions on one frame before the next.

    Yields
    ------
    The key of the description, and the candidates.
    """
    session = sessions.of(view)
    searches = {
        key: _candidates_by_frame(
            session, description, _encoded_exemplars(sessions, description, exemplar_views)
        )
        for key, description in descriptions.items()
    }
    for _ in range(view.axes.count):
        for key, candidates in searches.items():
            yield key, next(candidates)


def _candidates_by_frame(
    session: Session, description: Description, exemplars: Sequence[Exemplar]
) -> Iterator[Candidates]:
    if description.is_everything:
        return (session.everything(frame) for frame in range(session.frames.count))
    return iter(session.find_all(description.text or None, exemplars=exemplars))


def _encoded_exemplars(
    sessions: Sessions, description: Description, views: Mapping[FrameIndex, View]
) -> list[Exemplar]:
    """Encode the boxes drawn on frames of these views, and add those from a library."""
    encoded = [
        _encoded_exemplar(sessions, views[box.frame_index], box)
        for box in description.boxes
        if box.frame_index in views
    ]
    return [*encoded, *description.library_exemplars]


def _encoded_exemplar(sessions: Sessions, view: View, box: DrawnBox) -> Exemplar:
    exemplar = sessions.of(view).exemplar(view.axes.frame_of(box.frame_index), box.box)
    return exemplar if box.is_positive else exemplar.negated()


def _redrawn(
    outdated: Iterable[tuple[FrameIndex, Selection, PackedCandidates]],
) -> Generator[tuple[FrameIndex, Drawing], None, None]:
    for frame_index, selection, packed in outdated:
        yield frame_index, drawn(selection, filter_candidates(packed.unpacked(), selection))

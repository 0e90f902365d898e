"""From descriptions to candidates: asks the engine about one frame, or about all of a stack."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from psygnal import Signal

from ..engine import Selection, Session, choose
from ..layers import DrawnBox
from ..values import CancelledError, Candidates, Exemplar, FrameIndex, FramesError, Sam3Error
from .concept import ConceptState, Description, Drawing, PackedCandidates, Region, drawn
from .concepts import Concepts
from .jobs import Jobs, Stream
from .propagation import Progress
from .view import Sessions, View

Shown = Region | Exemplar


def look_for(
    sessions: Sessions,
    view: View,
    place: FrameIndex,
    asked: Description,
    elsewhere: Sequence[tuple[FrameIndex, View]],
    region: Region | None,
) -> Candidates:
    """Find what is described on the frame at a place, or in a region of it."""
    session = sessions.of(view)
    frame = view.axes.frame_of(place)
    if asked.is_everything:
        return session.everything(frame, region)
    here = [box for box in asked.boxes if box.place == place]
    kept = [*remembered(sessions, asked, dict(elsewhere)), *asked.borrowed]
    return session.find(
        frame,
        asked.text or None,
        exemplars=[*(box.box for box in here if box.is_positive), *kept],
        negatives=[box.box for box in here if not box.is_positive],
        region=region,
    )


def look_for_on_all(
    sessions: Sessions,
    view: View,
    asked: Mapping[int, Description],
    elsewhere: Mapping[FrameIndex, View],
) -> Generator[tuple[int, Candidates], None, None]:
    """Find what is described on every frame of a stack, all descriptions on one frame first.

    Yields
    ------
    The key of the description, and what was found.
    """
    session = sessions.of(view)
    found = {
        key: _on_all(session, one, [*remembered(sessions, one, elsewhere), *one.borrowed])
        for key, one in asked.items()
    }
    for _ in range(view.axes.count):
        for key, candidates in found.items():
            yield key, next(candidates)


def remembered(
    sessions: Sessions, asked: Description, elsewhere: Mapping[FrameIndex, View]
) -> list[Exemplar]:
    """Show the model the boxes that were drawn on other frames."""
    return [
        _exemplar(sessions, elsewhere[box.place], box)
        for box in asked.boxes
        if box.place in elsewhere
    ]


def _exemplar(sessions: Sessions, view: View, box: DrawnBox) -> Exemplar:
    exemplar = sessions.of(view).exemplar(view.axes.frame_of(box.place), box.box)
    return exemplar if box.is_positive else exemplar.negated()


def _on_all(
    session: Session, asked: Description, exemplars: Sequence[Shown]
) -> Iterator[Candidates]:
    if asked.is_everything:
        return (session.everything(frame) for frame in range(session.frames.count))
    return iter(session.find_all(asked.text or None, exemplars=exemplars))


Asked = tuple[int, FrameIndex]  # which concept, and where


@dataclass(slots=True, eq=False)
class _Sweep:
    """Concepts being looked for on all frames of a stack."""

    view: View
    asked: dict[int, Description]  # by concept
    started: float  # in seconds of the monotonic clock
    done: int = 0  # candidates of a concept on a frame
    stream: Stream | None = None

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        total = self.view.axes.count * len(self.asked)
        return Progress(self.done, total, monotonic() - self.started)


class Detection:
    """Looks for the concepts of one workspace."""

    changed = Signal()
    failed = Signal(str)
    found = Signal(object, tuple)  # a FoundConcept, and the place of the frame

    def __init__(
        self, concepts: Concepts, jobs: Jobs, sessions: Sessions, look: Callable[[FrameIndex], View]
    ) -> None:
        self._concepts = concepts
        self._jobs = jobs
        self._sessions = sessions
        self._look = look
        self._asked: set[Asked] = set()  # whose answer is awaited
        self._sweep: _Sweep | None = None
        self._redrawing: Stream | None = None

    def close(self) -> None:
        """Ask nothing any more."""
        self.drop_requests()
        self.stop()
        self._stop_redrawing()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._asked) or self._sweep is not None

    @property
    def progress(self) -> Progress | None:
        """How far a stack is looked through, while it is."""
        return None if self._sweep is None else self._sweep.progress

    def find(self, concept: ConceptState, place: FrameIndex, region: Region | None = None) -> None:
        """Look for a concept on a frame; a newer question about both takes its place."""
        asked = concept.description
        try:
            view = self._look(place)
            elsewhere = self._views_of(asked, place)
        except FramesError as error:
            self.failed.emit(str(error))
            return
        key = concept.id, place
        self._asked.add(key)
        self._jobs.submit(
            (self, key),
            partial(look_for, self._sessions, view, place, asked, elsewhere, region),
            partial(self._on_found, concept, place, asked, region),
            partial(self._on_search_failed, key),
        )
        self.changed.emit()

    def find_on_all(self, concepts: Sequence[ConceptState], place: FrameIndex) -> None:
        """Look for concepts on all frames of the stack through a place."""
        self.stop()
        try:
            view = self._look(place)
            elsewhere = [
                one for concept in concepts for one in self._views_of(concept.description, None)
            ]
        except FramesError as error:
            self.failed.emit(str(error))
            return
        asked = {concept.id: concept.description for concept in concepts}
        self._sweep = sweep = _Sweep(view, asked, monotonic())
        sweep.stream = self._jobs.stream(
            partial(look_for_on_all, self._sessions, view, asked, dict(elsewhere)),
            partial(self._on_frame_found, sweep),
            partial(self._on_sweep_ended, sweep),
        )
        self.changed.emit()

    def show_exemplars(
        self, concept: ConceptState, shown: Callable[[list[Exemplar]], None]
    ) -> None:
        """Show the model all boxes of a concept, and hand over what it makes of them."""
        asked = concept.description
        try:
            views = dict(self._views_of(asked, None))
        except FramesError as error:
            self.failed.emit(str(error))
            return
        self._jobs.submit(
            (self, "exemplars"),
            lambda: [*remembered(self._sessions, asked, views), *asked.borrowed],
            shown,
            self._on_request_failed,
        )

    def stop(self, reason: str = "") -> None:
        """End looking through the stack before the next frame; what was found is kept."""
        sweep, self._sweep = self._sweep, None
        if sweep is None:
            return
        if sweep.stream is not None:
            sweep.stream.stop()
        self._end(reason)

    def drop_requests(self) -> None:
        """Await no answers any more."""
        if not self._asked:
            return
        for key in self._asked:
            self._jobs.forget((self, key))
        self._asked.clear()
        self.changed.emit()

    def redraw_others(self, concept: ConceptState) -> None:
        """Draw a concept with its new levels on all frames that were drawn with others."""
        self._stop_redrawing()
        due = [
            (place, concept.selection_at(place), concept.store.packed(place))
            for place in concept.outdated()
        ]
        if due:
            self._redrawing = self._jobs.stream(
                partial(_redrawn, due), partial(self._on_redrawn, concept), self._on_redrawing_ended
            )

    def _views_of(
        self, asked: Description, place: FrameIndex | None
    ) -> list[tuple[FrameIndex, View]]:
        """Look at the frames on which exemplars were drawn, but for one of them."""
        places = {box.place for box in asked.boxes} - {place}
        return [(one, self._look(one)) for one in sorted(places)]

    def _on_found(
        self,
        concept: ConceptState,
        place: FrameIndex,
        asked: Description,
        region: Region | None,
        found: Candidates,
    ) -> None:
        self._asked.discard((concept.id, place))
        self._concepts.put(concept, place, asked, found, region)
        self.found.emit(concept, place)
        self.changed.emit()

    def _on_search_failed(self, key: Asked, error: Sam3Error) -> None:
        self._asked.discard(key)
        self._on_request_failed(error)

    def _on_request_failed(self, error: Sam3Error) -> None:
        if not isinstance(error, CancelledError):  # who stops something knows about it
            self.failed.emit(str(error))
        self.changed.emit()

    def _on_frame_found(self, sweep: _Sweep, answer: tuple[int, Candidates]) -> None:
        if sweep is not self._sweep:
            return
        concept_id, found = answer
        sweep.done += 1
        place = sweep.view.axes.place(found.frame)
        for concept in self._concepts:
            if concept.id == concept_id:
                self._concepts.put(concept, place, sweep.asked[concept_id], found)
                self.found.emit(concept, place)

    def _on_sweep_ended(self, sweep: _Sweep, error: Sam3Error | None) -> None:
        if sweep is self._sweep:
            self._sweep = None
            self._end("" if error is None else str(error))

    def _end(self, message: str) -> None:
        if message:
            self.failed.emit(message)
        self.changed.emit()

    def _on_redrawn(self, concept: ConceptState, redrawn: tuple[FrameIndex, Drawing]) -> None:
        place, drawing = redrawn
        if concept.selection_at(place) == drawing.selection:
            self._concepts.write(concept, place, drawing)

    def _on_redrawing_ended(self, error: Sam3Error | None) -> None:
        if error is not None:
            self.failed.emit(str(error))

    def _stop_redrawing(self) -> None:
        redrawing, self._redrawing = self._redrawing, None
        if redrawing is not None:
            redrawing.stop()


def _redrawn(
    due: Iterable[tuple[FrameIndex, Selection, PackedCandidates]],
) -> Generator[tuple[FrameIndex, Drawing], None, None]:
    for place, selection, packed in due:
        yield place, drawn(selection, choose(packed.unpacked(), selection))

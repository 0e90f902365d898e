"""Following objects through a stack: one run at a time, stopped at any frame, nothing lost."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Literal

from psygnal import Signal

from ..engine import ObjectMask, Prompts, Sam3Error
from ..layers.axes import Place, StackAxes
from .jobs import Jobs, Stream
from .segmentation import Key, Segmentation
from .views import Sessions, View
from .workspace import Workspace

Direction = Literal["both", "forward", "backward"]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far to follow which objects, in frames of the stack."""

    direction: Direction
    first: int
    last: int  # included
    object_ids: frozenset[int]

    def frames(self, prompted: Collection[int]) -> range:
        """Return the frames to visit, from those that are prompted."""
        first = min(prompted) if self.direction == "forward" else self.first
        last = max(prompted) if self.direction == "backward" else self.last
        return range(max(first, self.first), min(last, self.last) + 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    done: int  # masks
    total: int
    seconds: float  # since it started

    @property
    def seconds_left(self) -> float | None:
        """The time that remains, or None before the first mask."""
        return self.seconds * (self.total - self.done) / self.done if self.done else None


class Propagation:
    """Runs the propagation of one workspace."""

    advanced = Signal()  # a mask came
    ended = Signal(str)  # what there is to say about it; empty when all is well

    def __init__(
        self,
        workspace: Workspace,
        segmentation: Segmentation,
        jobs: Jobs,
        sessions: Sessions,
    ) -> None:
        self._workspace = workspace
        self._segmentation = segmentation
        self._jobs = jobs
        self._sessions = sessions
        self._stream: Stream | None = None
        self._given_keys: frozenset[Key] = frozenset()
        self._done = 0
        self._total = 0
        self._started = 0.0
        self.is_running = False

    @property
    def progress(self) -> Progress:
        """How far the run has come that is under way, or the last one."""
        return Progress(self._done, self._total, monotonic() - self._started)

    def starts(self, axes: StackAxes) -> dict[int, list[int]]:
        """Return the objects that were prompted in a stack, each with its prompted frames."""
        frames: dict[int, list[int]] = {}
        for place, object_id in sorted(self._segmentation.prompted_keys):
            if axes.holds(place):
                frames.setdefault(object_id, []).append(axes.frame_of(place))
        return frames

    def run(self, view: View, reach: Reach) -> None:
        """Follow objects through the stack, from all frames where they were prompted or painted."""
        given = self._given(view, reach)
        frames = reach.frames([frame for frame, _ in given])
        self._given_keys = frozenset((view.axes.place(frame), thing) for frame, thing in given)
        self._done, self._started = 0, monotonic()
        self._total = len(frames) * len({object_id for _, object_id in given})
        self.is_running = True
        self._stream = self._jobs.stream(
            lambda: self._follow(view, given, frames),
            partial(self._on_mask_arrived, view),
            self._on_stream_ended,
        )

    def stop(self, reason: str = "") -> None:
        """End the run before its next frame; what is done is kept."""
        if not self.is_running:
            return
        if self._stream is not None:
            self._stream.stop()
        self._end(reason)

    def _follow(
        self, view: View, given: dict[tuple[int, int], Prompts | ObjectMask], frames: range
    ) -> Generator[ObjectMask, None, None]:
        yield from self._sessions.of(view).propagate(given, frames)

    def _starts(self) -> set[Key]:
        edited = {
            (place, thing.id)
            for thing in self._workspace.objects
            for place in self._workspace.results.edited_places(thing.id)
        }
        return edited | self._segmentation.prompted_keys

    def _given(self, view: View, reach: Reach) -> dict[tuple[int, int], Prompts | ObjectMask]:
        prompted = self._segmentation.prompted
        given: dict[tuple[int, int], Prompts | ObjectMask] = {}
        for place, object_id in sorted(self._starts()):
            if object_id not in reach.object_ids or not view.axes.holds(place):
                continue
            frame = view.axes.frame_of(place)
            pixels = self._workspace.results.mask(place, object_id)
            if pixels.any():
                given[frame, object_id] = ObjectMask(frame, object_id, pixels, 1.0)
            elif (place, object_id) in prompted:
                given[frame, object_id] = prompted[place, object_id]
        return given

    def _on_mask_arrived(self, view: View, mask: ObjectMask) -> None:
        self._done += 1
        try:
            self._write(view.axes.place(mask.frame), mask)
        except Sam3Error as error:
            self.stop(str(error))
            return
        self.advanced.emit()

    def _write(self, place: Place, mask: ObjectMask) -> None:
        key = (place, mask.object_id)
        is_spoken_for = key in self._given_keys or key in self._segmentation.prompted_keys
        if is_spoken_for or mask.object_id not in self._workspace.objects:
            return
        self._workspace.results.write(*key, mask.pixels)
        self._workspace.objects.record(*key, mask.score, mask.area)

    def _on_stream_ended(self, error: Sam3Error | None) -> None:
        if self.is_running:
            self._end("" if error is None else str(error))

    def _end(self, message: str) -> None:
        self.is_running = False
        self._stream = None
        self.ended.emit(message)

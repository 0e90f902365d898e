"""Propagating objects through a stack: one run at a time, stopped at any frame, nothing lost."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Literal

from psygnal import Signal

from ..layers import StackAxes
from ..values import FrameIndex, Key, Mask, Prompts, Sam3Error
from .history import Propagate
from .jobs import Jobs, Stream
from .segmentation import Segmentation
from .view import Sessions, View
from .workspace import Workspace

Direction = Literal["both", "forward", "backward"]


@dataclass(frozen=True, slots=True)
class Reach:
    """Which objects are propagated how far, in frames of the stack."""

    direction: Direction
    first: int
    last: int  # included
    object_ids: frozenset[int]

    def frames(self, known: Collection[int]) -> range:
        """Return the frames that objects which are known on these are propagated through."""
        first = min(known) if self.direction == "forward" else self.first
        last = max(known) if self.direction == "backward" else self.last
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


@dataclass(slots=True, eq=False)
class _Run:
    """Objects being propagated."""

    view: View
    given: dict[tuple[int, int], Prompts | Mask]  # by frame and object
    frames: dict[int, range]  # to propagate through, for each object
    started: float  # in seconds of the monotonic clock
    done: int = 0  # masks
    stream: Stream | None = None

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        total = sum(map(len, self.frames.values()))
        return Progress(self.done, total, monotonic() - self.started)

    @property
    def span(self) -> range:
        """All frames that any object is propagated through, and those between."""
        visited = [frames for frames in self.frames.values() if frames]
        if not visited:
            return range(0)
        return range(
            min(frames.start for frames in visited), max(frames.stop for frames in visited)
        )


class Propagation:
    """Runs the propagation of one workspace."""

    advanced = Signal()  # a mask came
    ended = Signal(str)  # why it ended early; empty when all is well

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
        self._run: _Run | None = None

    @property
    def is_running(self) -> bool:
        """Whether objects are being propagated."""
        return self._run is not None

    @property
    def progress(self) -> Progress | None:
        """How far the run has come, while there is one."""
        return None if self._run is None else self._run.progress

    def starts(self, axes: StackAxes) -> dict[int, list[int]]:
        """Return the objects that were prompted or promoted in a stack, each with its frames."""
        frames: dict[int, list[int]] = {}
        for frame_index, object_id in sorted(self._marked_keys):
            if axes.holds(frame_index):
                frames.setdefault(object_id, []).append(axes.frame_of(frame_index))
        return frames

    @property
    def _marked_keys(self) -> frozenset[Key[FrameIndex]]:
        """Frames and objects that were prompted, or promoted from a candidate."""
        return self._segmentation.prompted_keys | self._workspace.promoted

    def run(self, view: View, reach: Reach) -> None:
        """Propagate objects from all frames where they were prompted, promoted or painted."""
        self.stop()
        given = self._given(view, reach)
        if not given:
            self.ended.emit("Nothing marks an object in this stack yet: click on one first.")
            return
        known: dict[int, list[int]] = {}
        for frame, object_id in given:
            known.setdefault(object_id, []).append(frame)
        frames = {object_id: reach.frames(starts) for object_id, starts in known.items()}
        self._workspace.history.push(
            Propagate(frozenset(frames), view.axes, range(reach.first, reach.last + 1))
        )
        self._run = run = _Run(view, given, frames, monotonic())
        run.stream = self._jobs.stream(
            lambda: self._propagate(run),
            partial(self._on_mask_arrived, run),
            partial(self._on_stream_ended, run),
        )

    def stop(self, reason: str = "") -> None:
        """End the run before its next frame; what is done is kept."""
        if self._run is None:
            return
        if self._run.stream is not None:
            self._run.stream.stop()
        self._end(reason)

    def _propagate(self, run: _Run) -> Generator[Mask, None, None]:
        with closing(self._sessions.of(run.view).propagate(run.given, run.span)) as masks:
            for mask in masks:
                if mask.frame in run.frames[mask.object_id]:
                    yield mask

    def _starts(self, view: View, reach: Reach) -> list[Key[FrameIndex]]:
        known = self._workspace.results.edited(reach.object_ids) | self._marked_keys
        return [
            (frame_index, object_id)
            for frame_index, object_id in sorted(known)
            if object_id in reach.object_ids and view.axes.holds(frame_index)
        ]

    def _given(self, view: View, reach: Reach) -> dict[tuple[int, int], Prompts | Mask]:
        starts = self._starts(view, reach)
        prompted = self._segmentation.prompts(starts)
        given: dict[tuple[int, int], Prompts | Mask] = {}
        for frame_index, object_id in starts:
            key, frame = (frame_index, object_id), view.axes.frame_of(frame_index)
            known = self._known_mask(view, frame_index, object_id)
            if known.area and not self._is_outdated(key):
                given[frame, object_id] = known
            elif key in self._segmentation.prompted_keys:
                given[frame, object_id] = prompted[key]
        return given

    def _is_outdated(self, key: Key[FrameIndex]) -> bool:
        """Whether the mask is the one before the last prompts, and was not painted on."""
        return self._segmentation.is_waiting(key) and not self._workspace.results.is_edited(*key)

    def _known_mask(self, view: View, frame_index: FrameIndex, object_id: int) -> Mask:
        mask = self._workspace.results.mask(frame_index, object_id)
        return replace(mask, frame=view.axes.frame_of(frame_index), object_id=object_id, score=1.0)

    def _on_mask_arrived(self, run: _Run, mask: Mask) -> None:
        if run is not self._run:
            return
        run.done += 1
        if not self._is_marked(run, mask.object_id):
            if not any(self._is_marked(run, object_id) for object_id in run.frames):
                self.stop()
            return
        try:
            self._write(run, mask)
        except Sam3Error as error:
            self.stop(str(error))
            return
        self.advanced.emit()

    def _is_marked(self, run: _Run, object_id: int) -> bool:
        """Whether anything that an object is propagated from was not taken back meanwhile."""
        keys = [
            (run.view.axes.frame_index(frame), object_id)
            for frame, owner in run.given
            if owner == object_id
        ]
        if not self._marked_keys.isdisjoint(keys):
            return True
        return any(self._workspace.results.is_edited(*key) for key in keys)

    def _write(self, run: _Run, mask: Mask) -> None:
        key = (run.view.axes.frame_index(mask.frame), mask.object_id)
        is_known = (mask.frame, mask.object_id) in run.given
        is_marked = is_known or key in self._marked_keys
        if is_marked or mask.object_id not in self._workspace.objects:
            return
        self._workspace.results.write(*key, mask)
        self._workspace.objects.record(*key, mask.score, mask.area)

    def _on_stream_ended(self, run: _Run, error: Sam3Error | None) -> None:
        if run is self._run:
            self._end("" if error is None else str(error))

    def _end(self, message: str) -> None:
        self._run = None
        self.ended.emit(message)

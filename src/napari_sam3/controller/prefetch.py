"""Frames that are encoded before a prompt needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Literal

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray
from psygnal import Signal

from ..engine import Cost, Session
from ..values import CancelledError, FramesError, Sam3Error
from .annotations import Annotations
from .jobs import Jobs, Stream
from .view import Focus, View


@dataclass(frozen=True, slots=True, eq=False)
class FrameInView:
    """A stack, and the frame of it in view."""

    view: View
    frame: int

    @property
    def count(self) -> int:
        """Frames of the stack."""
        return self.view.axes.count


def frame_in_view(focus: Focus, annotations: Annotations) -> FrameInView | None:
    """Return what the viewer shows; None where there is nothing that can be encoded."""
    image, frame_index = focus.image, focus.frame_index
    if image is None or frame_index is None:
        return None
    try:
        view = annotations.view(image, frame_index)
    except FramesError:
        return None
    return FrameInView(view, view.axes.frame_of(frame_index))


logger = logging.getLogger(__name__)

CHEAP_SECONDS = 2
"""What encoding a frame may take that no prompt needs yet."""


@dataclass(slots=True, eq=False)
class _Run:
    stream: Stream | None = None


class Neighbours:
    """Encodes frames around the one in view, so that clicks there need no encoding.

    A laptop is to stay cool while its owner thinks or leafs through an image. So frames are
    encoded only of a stack that was prompted before, as it is displayed now; only with a model
    that encodes one of its frames in less than two seconds, as measured at those before; only
    while nothing else runs; and only if they fit into half of the memory, eight on either side at
    most. It ends with the next prompt, run or move to another frame.
    """

    arrived = Signal(View, int)  # a stack, and a frame of it that is ready now
    ended = Signal()  # and there may be more to encode

    def __init__(self, focus: Focus, annotations: Annotations, jobs: Jobs) -> None:
        self._focus = focus
        self._annotations = annotations
        self._jobs = jobs
        self._run: _Run | None = None
        self._last: int | None = None  # the frame that was in view before
        self._direction = 1
        focus.moved.connect(self._on_moved)
        focus.image_selected.connect(self._on_moved)

    def close(self) -> None:
        """Stop, and never begin again."""
        self.stop()
        self._focus.moved.disconnect(self._on_moved)
        self._focus.image_selected.disconnect(self._on_moved)

    @property
    def is_running(self) -> bool:
        """Whether frames are being encoded."""
        return self._run is not None

    def encode_neighbours(self) -> None:
        """Encode what is worth it around the frame in view; called once the user rests."""
        here = frame_in_view(self._focus, self._annotations)
        if here is None or self.is_running or self._annotations.is_busy:
            return
        session = self._annotations.known_session(here.view)
        frames = self._worthwhile(here)
        if frames:
            run = _Run()
            arrived = partial(self._on_arrived, run, here.view)
            self._begin(run, lambda: self._annotations.session(here.view).encode(frames), arrived)
        elif session is not None and session.prefetch.is_worth_recognising:
            arrived = partial(self._on_recognised, session, here.view)
            self._begin(_Run(), session.prefetch.recognise, arrived)

    def _begin(
        self,
        run: _Run,
        encode: Callable[[], Generator[int, None, None]],
        arrived: Callable[[int], None],
    ) -> None:
        self._run = run
        self._annotations.prompted.connect(self.stop)
        run.stream = self._jobs.stream(encode, arrived, partial(self._on_ended, run))

    def stop(self) -> None:
        """End it before its next frame."""
        run = self._take_run()
        if run is not None and run.stream is not None:
            run.stream.stop()

    def _take_run(self) -> _Run | None:
        run, self._run = self._run, None
        if run is not None:
            self._annotations.prompted.disconnect(self.stop)
        return run

    def _worthwhile(self, here: FrameInView) -> list[int]:
        session = self._annotations.known_session(here.view)
        if session is None or not self._is_cheap(here.view):
            return []
        return session.prefetch.neighbours(here.frame, self._direction)

    def _is_cheap(self, view: View) -> bool:
        """Whether encoding a frame takes little; one that is on disk takes nothing to speak of."""
        session = self._annotations.known_session(view)
        cost = None if session is None else session.prefetch.cost
        return cost is not None and (cost.seconds or 0) < CHEAP_SECONDS

    def _on_moved(self) -> None:
        here = frame_in_view(self._focus, self._annotations)
        frame = None if here is None else here.frame
        if frame is not None and self._last is not None and frame != self._last:
            self._direction = frame - self._last
        self._last = frame
        self.stop()

    def _on_arrived(self, run: _Run, view: View, frame: int) -> None:
        self.arrived.emit(view, frame)
        if run is self._run and not self._is_cheap(view):
            self.stop()

    def _on_recognised(self, session: Session, view: View, frame: int) -> None:
        if session.is_ready(frame):
            self.arrived.emit(view, frame)

    def _on_ended(self, run: _Run, error: Sam3Error | None) -> None:
        if run is self._run:
            self._take_run()
            if error is None:
                self.ended.emit()
        if error is not None and not isinstance(error, CancelledError):
            logger.info("Frames are not encoded before they are prompted: %s", error)


CHECKED_AT_ONCE = 256
"""Frames that are checked in one go, so that thousands do not hold up the viewer."""


class Readiness:
    """Which frames of the stack in view are ready; they are checked some at a time."""

    def __init__(self, focus: Focus, annotations: Annotations) -> None:
        self._focus = focus
        self._annotations = annotations
        self._view: View | None = None
        self._left = 0  # frames to be checked
        self._next = 0
        self.flags: NDArray[np.bool_] = np.zeros(0, bool)  # (F,), whether a frame is ready
        self.in_progress: frozenset[int] = frozenset()  # frames that are being encoded
        self.current: int | None = None  # the frame in view

    @property
    def count(self) -> int:
        """How many frames are ready, as far as they were checked."""
        return int(self.flags.sum())

    @property
    def is_settled(self) -> bool:
        """Whether all frames were checked since something changed."""
        return self._left == 0

    def unsettle(self) -> None:
        """Check all frames once more, since something changed."""
        self._left = len(self.flags)

    def show_stack(self, view: View | None) -> None:
        """Begin anew if another stack is in view."""
        if view is not self._view:
            self._view, self._next = view, 0
            self.flags = np.zeros(0 if view is None else view.axes.count, bool)
            self.unsettle()

    def add(self, view: View, frame: int) -> None:
        """Take a frame for ready, if its stack is in view."""
        if view is self._view:
            self.flags[frame] = True

    def check_next(self) -> None:
        """Check the next frames."""
        here = frame_in_view(self._focus, self._annotations)
        view = None if here is None else here.view
        self.show_stack(view)
        self.current = None if here is None else here.frame
        session = None if view is None else self._annotations.known_session(view)
        if session is None:
            self._left, self.in_progress = 0, frozenset()
            return
        self.in_progress = session.prefetch.under_way
        for _ in range(min(CHECKED_AT_ONCE, self._left)):
            self.flags[self._next] = session.is_ready(self._next)
            self._next = (self._next + 1) % len(self.flags)
            self._left -= 1


State = Literal["idle", "running", "paused"]


@dataclass(frozen=True, slots=True)
class EncodingForecast:
    """What encoding the stack in view takes."""

    ready: int  # frames that are
    count: int  # frames of the stack
    seconds: float | None  # that remain; None before the first frame
    nbytes: int | None  # of all embeddings; None before the first frame

    @property
    def left(self) -> int:
        """Frames that are not ready."""
        return self.count - self.ready


@dataclass(slots=True, eq=False)
class _StackRun:
    image: Image
    view: View
    wanted: int  # frames
    started: float  # in seconds of the monotonic clock
    done: int = 0  # frames
    has_space: bool = False  # as far as is known
    stream: Stream | None = None

    @property
    def seconds_left(self) -> float | None:
        return (
            (monotonic() - self.started) * (self.wanted - self.done) / self.done
            if self.done
            else None
        )


class StackEncoding:
    """Encodes all frames of one stack in the background; paused, it keeps what is done."""

    arrived = Signal(View, int)  # a stack, and a frame of it that is ready now
    changed = Signal()
    failed = Signal(str)

    def __init__(
        self, focus: Focus, annotations: Annotations, jobs: Jobs, readiness: Readiness
    ) -> None:
        self._focus = focus
        self._annotations = annotations
        self._jobs = jobs
        self._readiness = readiness
        self._run: _StackRun | None = None
        self._paused: View | None = None

    @property
    def state(self) -> State:
        """Whether a stack is being encoded, or the encoding of the one in view was paused."""
        if self._run is not None:
            return "running"
        here = frame_in_view(self._focus, self._annotations)
        return "paused" if here is not None and here.view is self._paused else "idle"

    @property
    def forecast(self) -> EncodingForecast | None:
        """What is to be expected for the stack in view; None without one."""
        here = frame_in_view(self._focus, self._annotations)
        if here is None:
            return None
        self._readiness.show_stack(here.view)
        ready, cost = self._readiness.count, self._cost(here.view)
        each = None if cost is None else cost.seconds
        seconds = None if each is None else each * (here.count - ready)
        if self._run is not None and self._run.view is here.view:
            seconds = self._run.seconds_left or seconds
        nbytes = None if cost is None else cost.nbytes * here.count
        return EncodingForecast(ready, here.count, seconds, nbytes)

    @property
    def why_disabled(self) -> str:
        """Why the stack in view cannot be encoded now; empty where it can."""
        here = frame_in_view(self._focus, self._annotations)
        if here is None:
            return "There is no image yet: open one, or take one of File > Open Sample."
        if here.count < 2:
            return "The image has a single frame, which is encoded when you click."
        if here.view.frames.is_large:
            return "Frames as large as these are encoded in tiles, around what you click."
        ready = self._readiness.count
        return "All frames are ready." if ready == here.count else ""

    @property
    def fitting(self) -> int | None:
        """How many more frames there is room for; None before the first frame."""
        here = frame_in_view(self._focus, self._annotations)
        return None if here is None else self._fitting(here.view)

    def start(self, most: int | None = None) -> None:
        """Encode what is not ready, from the frame in view on; a few frames, or all."""
        here = frame_in_view(self._focus, self._annotations)
        image = self._focus.image
        if here is None or image is None or self._run is not None:
            return
        self._readiness.show_stack(here.view)
        frames = self._frames(here)[:most]
        self._paused = None
        self._run = run = _StackRun(image, here.view, len(frames), monotonic())
        run.has_space = most is not None
        run.image.events.data.connect(self._on_pixels_replaced)
        run.stream = self._jobs.stream(
            lambda: self._encode(run, frames),
            partial(self._on_arrived, run),
            partial(self._on_ended, run),
        )
        self.changed.emit()

    def pause(self) -> None:
        """End it before its next frame; what is done is kept."""
        run = self._take_run()
        if run is None:
            return
        self._paused = run.view
        if run.stream is not None:
            run.stream.stop()
        self.changed.emit()

    def let_go_of(self, layer: Layer) -> None:
        """Stop if this image is encoded, since it was removed or its pixels replaced."""
        if self._run is not None and self._run.image is layer:
            self.pause()

    def _on_pixels_replaced(self, event: Any) -> None:
        self.let_go_of(event.source)

    def _take_run(self) -> _StackRun | None:
        """Forget the run, and return it."""
        run, self._run = self._run, None
        if run is not None:
            run.image.events.data.disconnect(self._on_pixels_replaced)
        return run

    def _encode(self, run: _StackRun, frames: list[int]) -> Generator[int, None, None]:
        with closing(self._annotations.session(run.view).encode(frames)) as done:
            yield from done

    def _frames(self, here: FrameInView) -> list[int]:
        around = np.roll(np.arange(here.count), -here.frame)
        frames: list[int] = around[~self._readiness.flags[around]].tolist()
        return frames

    def _cost(self, view: View) -> Cost | None:
        session = self._annotations.known_session(view)
        return None if session is None else session.prefetch.cost

    def _fitting(self, view: View) -> int | None:
        session = self._annotations.known_session(view)
        cost = None if session is None else session.prefetch.cost
        if session is None or cost is None:
            return None
        return max(session.prefetch.quota // max(cost.nbytes, 1) - self._readiness.count, 0)

    def _on_arrived(self, run: _StackRun, frame: int) -> None:
        if run is not self._run:
            return
        run.done += 1
        self.arrived.emit(run.view, frame)
        if not run.has_space:
            self._check_free_space(run)
        self.changed.emit()

    def _check_free_space(self, run: _StackRun) -> None:
        """Go on if the rest has room, now that it is known how much a frame takes."""
        fitting = self._fitting(run.view)
        run.has_space = fitting is not None and fitting >= run.wanted - run.done
        if not run.has_space:
            self.pause()
            self.failed.emit(
                "There is no room for what the model sees of all frames: press Resume to encode "
                "as many as there is room for."
            )

    def _on_ended(self, run: _StackRun, error: Sam3Error | None) -> None:
        if run is not self._run:
            return
        self._take_run()
        if error is not None:
            self._paused = run.view
        if error is not None and not isinstance(error, CancelledError):
            self.failed.emit(str(error))
        self.changed.emit()


class Prefetch:
    """The encoding of the frames around the one in view, or of the whole stack; never both."""

    changed = Signal()
    failed = Signal(str)

    def __init__(self, focus: Focus, annotations: Annotations, jobs: Jobs) -> None:
        self.readiness = Readiness(focus, annotations)
        self._annotations = annotations
        self.neighbours = Neighbours(focus, annotations, jobs)
        self.stack = StackEncoding(focus, annotations, jobs, self.readiness)
        self.neighbours.arrived.connect(self._on_arrived)
        self.neighbours.ended.connect(self._on_changed)
        self.stack.arrived.connect(self._on_arrived)
        self.stack.changed.connect(self._on_changed)
        self.stack.failed.connect(self._on_failed)

    @property
    def warning(self) -> str:
        """Why embeddings are not kept on disk, in a sentence; empty when they are."""
        engine = self._annotations.engine
        return "" if engine is None else engine.embeddings.warning

    def close(self) -> None:
        """Stop what runs."""
        self.neighbours.close()
        self.stack.pause()

    def encode_stack(self, most: int | None = None) -> None:
        """Encode the stack in view, or so many frames of it."""
        self.neighbours.stop()
        self.stack.start(most)

    def encode_neighbours(self) -> None:
        """Encode the frames around the one in view, if it is worth it."""
        if self.stack.state != "running":
            self.neighbours.encode_neighbours()

    def _on_arrived(self, view: View, frame: int) -> None:
        self.readiness.add(view, frame)
        self.changed.emit()

    def _on_changed(self) -> None:
        self.changed.emit()

    def _on_failed(self, message: str) -> None:
        self.failed.emit(message)

"""Embedding a whole stack, for as long as the user wants it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Literal

import numpy as np
from napari.layers import Image, Layer
from psygnal import Signal

from ..engine import CancelledError, Cost, Sam3Error
from .focus import Focus
from .jobs import Jobs, Stream
from .readiness import Readiness
from .seen import Seen, seen
from .views import View
from .works import Works

State = Literal["idle", "running", "paused"]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What embedding the stack that is looked at takes."""

    ready: int  # frames that are
    count: int  # frames of the stack
    seconds: float | None  # that remain; None before the first frame
    nbytes: int | None  # of all embeddings; None before the first frame

    @property
    def left(self) -> int:
        """Frames that are not ready."""
        return self.count - self.ready


@dataclass(slots=True, eq=False)
class _Run:
    image: Image
    view: View
    wanted: int  # frames
    started: float  # in seconds of the monotonic clock
    done: int = 0  # frames
    has_room: bool = False  # as far as is known
    stream: Stream | None = None

    @property
    def seconds_left(self) -> float | None:
        return (
            (monotonic() - self.started) * (self.wanted - self.done) / self.done
            if self.done
            else None
        )


class StackEncoding:
    """Embeds all frames of one stack in the background; paused, it keeps what is done."""

    arrived = Signal(View, int)  # a stack, and a frame of it that is ready now
    changed = Signal()
    failed = Signal(str)

    def __init__(self, focus: Focus, works: Works, jobs: Jobs, readiness: Readiness) -> None:
        self._focus = focus
        self._works = works
        self._jobs = jobs
        self._readiness = readiness
        self._run: _Run | None = None
        self._paused: View | None = None

    @property
    def state(self) -> State:
        """Whether a stack is being embedded, or the one that is looked at was before."""
        if self._run is not None:
            return "running"
        here = seen(self._focus, self._works)
        return "paused" if here is not None and here.view is self._paused else "idle"

    @property
    def outlook(self) -> Outlook | None:
        """What is to be expected for the stack that is looked at; None without one."""
        here = seen(self._focus, self._works)
        if here is None:
            return None
        self._readiness.turn_to(here.view)
        ready, cost = self._readiness.count, self._cost(here.view)
        each = None if cost is None else cost.seconds
        seconds = None if each is None else each * (here.count - ready)
        if self._run is not None and self._run.view is here.view:
            seconds = self._run.seconds_left or seconds
        nbytes = None if cost is None else cost.nbytes * here.count
        return Outlook(ready, here.count, seconds, nbytes)

    @property
    def obstacle(self) -> str:
        """Why the stack that is looked at cannot be embedded now; empty where it can."""
        here = seen(self._focus, self._works)
        if here is None:
            return "There is no image yet: open one, or take one of File > Open Sample."
        if here.count < 2:
            return "The image has a single frame, which is looked at when you click."
        if here.view.frames.is_large:
            return "Frames as large as these are looked at in parts, around what you click."
        ready = self._readiness.count
        return "All frames are ready." if ready == here.count else ""

    @property
    def fitting(self) -> int | None:
        """How many more frames there is room for; None before the first frame."""
        here = seen(self._focus, self._works)
        return None if here is None else self._fitting(here.view)

    def start(self, most: int | None = None) -> None:
        """Embed what is not ready, from the frame that is looked at on; a few, or all."""
        here = seen(self._focus, self._works)
        image = self._focus.image
        if here is None or image is None or self._run is not None:
            return
        self._readiness.turn_to(here.view)
        frames = self._frames(here)[:most]
        self._paused = None
        self._run = run = _Run(image, here.view, len(frames), monotonic())
        run.has_room = most is not None
        run.image.events.data.connect(self._on_pixels_replaced)
        run.stream = self._jobs.stream(
            lambda: self._encode(run, frames),
            partial(self._on_arrived, run),
            partial(self._on_ended, run),
        )
        self.changed.emit()

    def pause(self) -> None:
        """End it before its next frame; what is done is kept."""
        run = self._taken_off()
        if run is None:
            return
        self._paused = run.view
        if run.stream is not None:
            run.stream.stop()
        self.changed.emit()

    def let_go_of(self, layer: Layer) -> None:
        """Stop if this image is embedded, since it was removed or its pixels replaced."""
        if self._run is not None and self._run.image is layer:
            self.pause()

    def _on_pixels_replaced(self, event: Any) -> None:
        self.let_go_of(event.source)

    def _taken_off(self) -> _Run | None:
        """Let go of what runs, and return it."""
        run, self._run = self._run, None
        if run is not None:
            run.image.events.data.disconnect(self._on_pixels_replaced)
        return run

    def _encode(self, run: _Run, frames: list[int]) -> Generator[int, None, None]:
        with closing(self._works.session(run.view).encode(frames)) as done:
            yield from done

    def _frames(self, here: Seen) -> list[int]:
        around = np.roll(np.arange(here.count), -here.frame)
        frames: list[int] = around[~self._readiness.flags[around]].tolist()
        return frames

    def _cost(self, view: View) -> Cost | None:
        session = self._works.known_session(view)
        return None if session is None else session.ahead.cost

    def _fitting(self, view: View) -> int | None:
        session = self._works.known_session(view)
        cost = None if session is None else session.ahead.cost
        if session is None or cost is None:
            return None
        return max(session.ahead.room // max(cost.nbytes, 1) - self._readiness.count, 0)

    def _on_arrived(self, run: _Run, frame: int) -> None:
        if run is not self._run:
            return
        run.done += 1
        self.arrived.emit(run.view, frame)
        if not run.has_room:
            self._check_room(run)
        self.changed.emit()

    def _check_room(self, run: _Run) -> None:
        """Go on if the rest has room, now that it is known how much a frame takes."""
        fitting = self._fitting(run.view)
        run.has_room = fitting is not None and fitting >= run.wanted - run.done
        if not run.has_room:
            self.pause()
            self.failed.emit(
                "There is no room for what the model sees of all frames: press Resume to encode "
                "as many as there is room for."
            )

    def _on_ended(self, run: _Run, error: Sam3Error | None) -> None:
        if run is not self._run:
            return
        self._taken_off()
        if error is not None:
            self._paused = run.view
        if error is not None and not isinstance(error, CancelledError):
            self.failed.emit(str(error))
        self.changed.emit()

"""Embedding the frames around the one that is looked at, before anybody goes there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

from psygnal import Signal

from ..engine import CancelledError, Sam3Error, Session
from .focus import Focus
from .jobs import Jobs, Stream
from .seen import Seen, seen
from .views import View
from .works import Work, Works

logger = logging.getLogger(__name__)

CHEAP_SECONDS = 2
"""What embedding a frame may take that nobody has asked for."""


@dataclass(slots=True, eq=False)
class _Run:
    stream: Stream | None = None


class Neighbours:
    """Embeds frames around the one that is looked at, so that clicks there are answered at once.

    Nobody has asked for it, and a laptop is to stay cool while its owner thinks or leafs through
    an image. So it is done only on a stack about which the model was asked before, as it is
    displayed now; only with a model that embeds one of its frames in less than two seconds, as
    measured at those before; only while nothing else runs; and only for frames that fit into half
    of the memory, eight on either side at most. It ends when the user prompts, runs something or
    goes elsewhere.
    """

    arrived = Signal(View, int)  # a stack, and a frame of it that is ready now
    disturbed = Signal()  # the user did something: look around once she rests

    def __init__(self, focus: Focus, works: Works, jobs: Jobs) -> None:
        self._focus = focus
        self._works = works
        self._jobs = jobs
        self._run: _Run | None = None
        self._last: int | None = None  # the frame that was looked at before
        self._heading = 1
        focus.moved.connect(self._on_moved)
        focus.image_chosen.connect(self._on_moved)
        works.begun.connect(self._on_work_begun)
        works.changed.connect(self._on_changed)

    def close(self) -> None:
        """Stop, and never begin again."""
        self.stop()
        self._focus.moved.disconnect(self._on_moved)
        self._focus.image_chosen.disconnect(self._on_moved)
        self._works.begun.disconnect(self._on_work_begun)
        self._works.changed.disconnect(self._on_changed)

    @property
    def is_running(self) -> bool:
        """Whether frames are being embedded."""
        return self._run is not None

    def look_around(self) -> None:
        """Embed what is worth it around the frame that is looked at; called once she rests."""
        here = seen(self._focus, self._works)
        if here is None or self.is_running or self._works.is_busy:
            return
        session = self._works.known_session(here.view)
        frames = self._worthwhile(here)
        if frames:
            run = _Run()
            arrived = partial(self._on_arrived, run, here.view)
            self._begin(run, lambda: self._works.session(here.view).encode(frames), arrived)
        elif session is not None and session.ahead.is_worth_recognising:
            arrived = partial(self._on_recognised, session, here.view)
            self._begin(_Run(), session.ahead.recognise, arrived)

    def _begin(
        self,
        run: _Run,
        work: Callable[[], Generator[int, None, None]],
        arrived: Callable[[int], None],
    ) -> None:
        self._run = run
        run.stream = self._jobs.stream(work, arrived, partial(self._on_ended, run))

    def stop(self) -> None:
        """End it before its next frame."""
        run, self._run = self._run, None
        if run is not None and run.stream is not None:
            run.stream.stop()

    def _worthwhile(self, here: Seen) -> list[int]:
        session = self._works.known_session(here.view)
        if session is None or not self._is_cheap(here.view):
            return []
        return session.ahead.neighbours(here.frame, self._heading)

    def _is_cheap(self, view: View) -> bool:
        """Whether a frame takes little; what was kept from before takes nothing to speak of."""
        session = self._works.known_session(view)
        cost = None if session is None else session.ahead.cost
        return cost is not None and (cost.seconds or 0) < CHEAP_SECONDS

    def _on_moved(self) -> None:
        here = seen(self._focus, self._works)
        frame = None if here is None else here.frame
        if frame is not None and self._last is not None and frame != self._last:
            self._heading = frame - self._last
        self._last = frame
        self.stop()
        self.disturbed.emit()

    def _on_work_begun(self, work: Work) -> None:
        work.workspace.prompts.changed.connect(self._on_prompted)

    def _on_prompted(self, _: object) -> None:
        self.stop()
        self.disturbed.emit()

    def _on_changed(self) -> None:
        self.disturbed.emit()

    def _on_arrived(self, run: _Run, view: View, frame: int) -> None:
        self.arrived.emit(view, frame)
        if run is self._run and not self._is_cheap(view):
            self.stop()

    def _on_recognised(self, session: Session, view: View, frame: int) -> None:
        if session.is_ready(frame):
            self.arrived.emit(view, frame)

    def _on_ended(self, run: _Run, error: Sam3Error | None) -> None:
        if run is self._run:
            self._run = None
            if error is None:
                self.disturbed.emit()  # perhaps there is more to be done
        if error is not None and not isinstance(error, CancelledError):
            logger.info("Frames are not embedded ahead: %s", error)

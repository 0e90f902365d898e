"""Watching a model look at an image, for whoever waits for it."""

from __future__ import annotations

from psygnal import Signal

from ..controller import Controller
from ..engine import Looking
from .clock import Clock
from .jobs import BackgroundJobs

LOOK_MS = 200  # how often progress is looked at


class Lookout:
    """Says how far the model has come with an image, while that takes long."""

    advanced = Signal(str)  # what the model does; empty once it is done

    def __init__(self, jobs: BackgroundJobs, controller: Controller) -> None:
        self._jobs = jobs
        self._controller = controller
        self._said = ""
        self._is_open = False
        self._clock = Clock.every(LOOK_MS, self._look)
        jobs.began.connect(self._on_jobs_began)

    def close(self) -> None:
        """End looking at an image, and tell nobody any more."""
        if self._is_open:
            self._controller.works.stop_looking()
            self._rest()

    def _look(self) -> None:
        what = _told(self._controller.looking)
        if not self._jobs.is_busy:
            self._rest()
        if what != self._said:
            self._said = what
            self.advanced.emit(what)

    def _rest(self) -> None:
        self._is_open = False
        self._clock.stop()

    def _on_jobs_began(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._clock.start()


def _told(looking: Looking | None) -> str:
    if looking is None:
        return ""
    if not looking.total:
        return "looking at the image …"
    return f"looking at the image, {100 * looking.done // looking.total} %"

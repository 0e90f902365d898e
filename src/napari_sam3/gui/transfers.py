"""A download or a conversion under way, beside everything else."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from threading import Event

from psygnal import Signal

from ..engine import ModelError, Sam3Error
from .clock import Clock
from .jobs import BackgroundJobs, BackgroundStream

Report = Callable[[int, int], None]
Work = Callable[[Report, Callable[[], bool]], Path]
"""Told how to report bytes and when to end; returns what can be loaded then."""
LOOK_MS = 200  # how often progress is looked at


class Transfers:
    """At most one piece of work, which reports bytes and can be stopped."""

    advanced = Signal(str, int, int)  # what it does, bytes done, bytes there are
    arrived = Signal(object)  # a Path
    ended = Signal(str)  # how, in a sentence, or nothing where all went well
    failed = Signal(str)  # a sentence for the user

    def __init__(self, jobs: BackgroundJobs) -> None:
        self._jobs = jobs
        self._stream: BackgroundStream | None = None
        self._stopped = Event()
        self._what = ""
        self._bytes = 0, 1
        self._clock = Clock.every(LOOK_MS, self._look)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way."""
        return self._stream is not None

    def start(self, what: str, work: Work) -> None:
        """Begin, unless something is under way."""
        if self.is_busy:
            return
        self._stopped = stopped = Event()
        self._what, self._bytes = what, (0, 1)

        def results() -> Generator[Path, None, None]:
            yield work(report, stopped.is_set)

        def report(done: int, total: int) -> None:
            self._bytes = done, total
            if stopped.is_set():
                raise ModelError("Stopped.")

        self._stream = self._jobs.stream(results, self._on_arrived, self._on_ended)
        self._clock.start()
        self._look()

    def stop(self) -> None:
        """End as soon as the next bytes have arrived."""
        self._stopped.set()

    def close(self) -> None:
        """Stop what is under way, and tell nobody any more."""
        if self.is_busy:
            self.stop()
            self._clock.stop()
            self._stream = None

    def _look(self) -> None:
        self.advanced.emit(self._what, *self._bytes)

    def _on_arrived(self, place: Path) -> None:
        if not self.is_busy:
            return
        self._finish("")
        self.arrived.emit(place)

    def _on_ended(self, error: Sam3Error | None) -> None:
        if not self.is_busy:
            return
        if self._stopped.is_set():
            self._finish("Stopped.")
            return
        message = str(error or "It did not work.")
        self._finish(message)
        self.failed.emit(message)

    def _finish(self, message: str) -> None:
        self._stream = None
        self._clock.stop()
        self.ended.emit(message)

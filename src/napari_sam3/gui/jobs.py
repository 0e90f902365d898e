"""Work beside the main thread, in napari's workers."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator, Hashable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from threading import Event, Semaphore
from typing import Any, Self
from weakref import WeakSet

from napari.qt.threading import create_worker
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QThreadPool, QTimer

from ..values import CancelledError, Sam3Error

QUEUED_RESULTS = 4  # results of a stream that wait for the viewer, so that memory stays flat
THREADS = 4  # at least, even on one core: a click, a run, a stack and a download at a time
PATIENCE_MS = 5000  # with a worker that ends within one frame
LAST_PATIENCE_MS = 60_000  # with a worker that loads a model while Python ends

_open_jobs: WeakSet[BackgroundJobs] = WeakSet()


class BackgroundJobs:
    """Runs tasks one after the other, and streams beside them."""

    began = Signal()  # a task or a stream

    def __init__(self) -> None:
        self._waiting: dict[Hashable, _Task] = {}
        self._current: _Task | None = None
        self._forgotten: _Task | None = None
        self._streams: set[BackgroundStream] = set()
        self._closed = Event()
        _open_jobs.add(self)
        _pool().setMaxThreadCount(max(THREADS, _pool().maxThreadCount()))

    @property
    def is_busy(self) -> bool:
        """Whether a task or a stream is running."""
        return self._current is not None or len(self._streams) > 0

    def submit(
        self,
        key: Hashable,
        task: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Sam3Error], None],
    ) -> None:
        """Queue a task; an earlier one of the same key that still waits never reaches the model."""
        self._waiting.pop(key, None)
        self._waiting[key] = _Task(key, task, done, failed)
        self._start_next()

    def forget(self, key: Hashable) -> None:
        """Drop the task of this key if it waits, or its result if it runs."""
        self._waiting.pop(key, None)
        if self._current is not None and self._current.key == key:
            self._forgotten = self._current

    def stream(
        self,
        start: Callable[[], Generator[Any, None, None]],
        arrived: Callable[[Any], None],
        ended: Callable[[Sam3Error | None], None],
    ) -> BackgroundStream:
        """Run a generator in a worker of its own."""
        stream = BackgroundStream(start, arrived, ended)
        self._streams.add(stream)
        stream.worker.finished.connect(partial(self._streams.discard, stream))
        stream.worker.start()
        self.began.emit()
        return stream

    def close(self) -> None:
        """Forget what waits, stop what runs, and wait for it, or else Qt ends under a worker."""
        is_busy = self.is_busy
        self._closed.set()
        self._waiting.clear()
        self._current = None
        for stream in list(self._streams):
            stream.stop()
        if is_busy:
            _pool().waitForDone(PATIENCE_MS)

    def _start_next(self) -> None:
        if self._closed.is_set() or self._current is not None or not self._waiting:
            return
        self._current = self._waiting.pop(next(iter(self._waiting)))
        worker = create_worker(self._outcome, self._current)
        worker.returned.connect(self._on_worker_returned)
        worker.errored.connect(self._on_worker_errored)
        worker.start()
        self.began.emit()

    def _outcome(self, task: _Task) -> _Outcome:
        """Run a task; called by a worker, which may start after all was closed."""
        if self._closed.is_set():
            return _Outcome(task)
        try:
            return _Outcome(task, task.run())
        except Sam3Error as error:
            return _Outcome(task, error=error)

    def _on_worker_returned(self, outcome: _Outcome) -> None:
        task, error = outcome.task, outcome.error
        is_superseded = task.key in self._waiting
        is_wanted = task is self._current and task is not self._forgotten and not is_superseded
        self._end_current(task)
        if not is_wanted:
            return
        if error is not None:
            task.failed(error)
            return
        task.done(outcome.value)

    def _on_worker_errored(self, _: Exception) -> None:
        """End a task that raised no `Sam3Error`; napari reports the error."""
        if self._current is not None:
            error = CancelledError("It did not work: napari shows the error.")
            self._on_worker_returned(_Outcome(self._current, error=error))

    def _end_current(self, task: _Task) -> None:
        if self._current is task:
            self._current = None
        self._start_next()


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    key: Hashable
    run: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[Sam3Error], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    task: _Task
    value: Any = None
    error: Sam3Error | None = None


class StreamError(Exception):
    """What ended a generator was no `Sam3Error`; its cause says where."""


class BackgroundStream:
    """A generator that runs in a worker, and waits for the viewer after a few results."""

    def __init__(
        self,
        start: Callable[[], Generator[Any, None, None]],
        arrived: Callable[[Any], None],
        ended: Callable[[Sam3Error | None], None],
    ) -> None:
        self._start = start
        self._arrived = arrived
        self._ended = ended
        self._quota = Semaphore(QUEUED_RESULTS)
        self._stopped = Event()
        self.worker = create_worker(self._results)
        self.worker.yielded.connect(self._on_result_yielded)
        self.worker.returned.connect(self._on_worker_returned)
        self.worker.errored.connect(self._on_worker_errored)

    def stop(self) -> None:
        """End the generator before its next result."""
        self._stopped.set()
        self._quota.release()

    def _results(self) -> Generator[Any, None, tuple[Sam3Error | None]]:
        try:
            yield from self._paced()
        except Sam3Error as error:
            return (error,)  # napari raises an error that is returned by itself
        except RuntimeError as error:  # of which napari would not say that it ended
            raise StreamError(f"{type(error).__name__}: {error}") from error
        return (None,)

    def _paced(self) -> Generator[Any, None, None]:
        if self._stopped.is_set():
            return
        with closing(self._start()) as results:
            for result in results:
                if self._stopped.is_set():
                    return
                yield result
                self._quota.acquire()
                if self._stopped.is_set():
                    return

    def _on_result_yielded(self, result: Any) -> None:
        self._quota.release()
        if not self._stopped.is_set():
            self._arrived(result)

    def _on_worker_returned(self, error: tuple[Sam3Error | None]) -> None:
        self._ended(*error)

    def _on_worker_errored(self, _: Exception) -> None:
        self._ended(None)


@atexit.register
def _end_all() -> None:
    """Wait for all workers; a script may end with a window open, of which Qt does not tell."""
    for jobs in list(_open_jobs):
        jobs.close()
    _pool().waitForDone(LAST_PATIENCE_MS)


def _pool() -> QThreadPool:
    """Return the threads that napari's workers run in."""
    pool = QThreadPool.globalInstance()
    if pool is None:
        raise RuntimeError("Qt has no thread pool.")
    return pool


class Clock:
    """Calls a function after a while, once or again and again.

    Qt deletes its objects in no certain order when a process ends with a window open. The timer
    may be deleted before it is stopped; calling it would raise, and end the process without a
    message to the user.
    """

    def __init__(self, timer: QTimer, act: Callable[[], None]) -> None:
        self._timer = timer
        timer.timeout.connect(act)

    @classmethod
    def every(cls, milliseconds: int, act: Callable[[], None]) -> Self:
        """Make a clock that calls again and again until it is stopped."""
        timer = QTimer()
        timer.setInterval(milliseconds)
        return cls(timer, act)

    @classmethod
    def once(cls, milliseconds: int, act: Callable[[], None]) -> Self:
        """Make a clock that calls once, so long after the last start."""
        clock = cls.every(milliseconds, act)
        clock._timer.setSingleShot(True)
        return clock

    @property
    def is_running(self) -> bool:
        """Whether a call is to come."""
        return bool(isalive(self._timer) and self._timer.isActive())

    def start(self) -> None:
        """Begin to wait, anew if the clock runs."""
        if isalive(self._timer):
            self._timer.start()

    def stop(self) -> None:
        """Call no more."""
        if isalive(self._timer):
            self._timer.stop()

"""Jobs without threads: one kind runs at once, the other when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Any

from napari_sam3.engine import Sam3Error


@dataclass(eq=False)
class Task:
    key: Hashable
    compute: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[Sam3Error], None]

    def run(self) -> None:
        try:
            result = self.compute()
        except Sam3Error as error:
            self.failed(error)
            return
        self.done(result)


class HeldStream:
    """A generator that a test takes result by result."""

    def __init__(
        self,
        start: Callable[[], Generator[Any, None, None]],
        arrived: Callable[[Any], None],
        ended: Callable[[Sam3Error | None], None],
    ) -> None:
        self._results = start()
        self._arrived = arrived
        self._ended = ended
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True

    def advance(self, count: int) -> None:
        """Hand over some results, or say that there are no more."""
        for _ in range(count):
            if not self._hand_over():
                return

    def finish(self) -> None:
        """Hand over all that is left, and say how it ended, as a worker does even once stopped."""
        while self._hand_over():
            pass

    def _hand_over(self) -> bool:
        error = None
        try:
            result = None if self.is_stopped else next(self._results, None)
        except Sam3Error as raised:
            result, error = None, raised
        if result is None:
            self._results.close()
            self._ended(error)
            return False
        self._arrived(result)
        return True


class InlineJobs:
    """Runs everything at once."""

    def submit(
        self,
        key: Hashable,
        task: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Sam3Error], None],
    ) -> None:
        Task(key, task, done, failed).run()

    def forget(self, key: Hashable) -> None:
        pass

    def stream(
        self,
        start: Callable[[], Generator[Any, None, None]],
        arrived: Callable[[Any], None],
        ended: Callable[[Sam3Error | None], None],
    ) -> HeldStream:
        stream = HeldStream(start, arrived, ended)
        stream.finish()
        return stream


class HeldJobs:
    """Holds tasks and streams until a test runs them; otherwise as the dock's jobs."""

    def __init__(self) -> None:
        self.waiting: dict[Hashable, Task] = {}
        self.streams: list[HeldStream] = []

    def submit(
        self,
        key: Hashable,
        task: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Sam3Error], None],
    ) -> None:
        self.waiting.pop(key, None)
        self.waiting[key] = Task(key, task, done, failed)

    def forget(self, key: Hashable) -> None:
        self.waiting.pop(key, None)

    def stream(
        self,
        start: Callable[[], Generator[Any, None, None]],
        arrived: Callable[[Any], None],
        ended: Callable[[Sam3Error | None], None],
    ) -> HeldStream:
        self.streams.append(HeldStream(start, arrived, ended))
        return self.streams[-1]

    def run_next(self) -> None:
        """Run the task that has waited longest."""
        self.waiting.pop(next(iter(self.waiting))).run()

    def run_all(self) -> None:
        while self.waiting:
            self.run_next()

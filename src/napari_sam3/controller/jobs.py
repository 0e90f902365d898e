"""What runs the controller's work beside the main thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Protocol, TypeVar

from ..values import Sam3Error

Result = TypeVar("Result")


class Stream(Protocol):
    """Running work that gives one result after another."""

    def stop(self) -> None:
        """End it before its next result."""


class Jobs(Protocol):
    """Runs tasks elsewhere and calls back in the main thread."""

    def submit(
        self,
        key: Hashable,
        task: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Sam3Error], None],
    ) -> None:
        """Run a task, unless a newer one of the same key replaces it before it starts.

        Errors that are no `Sam3Error` are shown by others; `failed` gets a `CancelledError` then.
        """

    def forget(self, key: Hashable) -> None:
        """Drop the task of this key if it waits, or its result if it runs."""

    def stream(
        self,
        start: Callable[[], Generator[Result, None, None]],
        arrived: Callable[[Result], None],
        ended: Callable[[Sam3Error | None], None],
    ) -> Stream:
        """Run a generator, hand over what it yields, and say how it ended."""

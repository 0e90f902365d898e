"""What the controller asks of whoever runs its work beside the main thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Protocol, TypeVar

from ..values import Sam3Error

Result = TypeVar("Result")


class Stream(Protocol):
    """Work under way that gives one result after another."""

    def stop(self) -> None:
        """End it before its next result."""


class Jobs(Protocol):
    """Runs work elsewhere and calls back in the main thread."""

    def ask(
        self,
        key: Hashable,
        question: Callable[[], Result],
        answered: Callable[[Result], None],
        failed: Callable[[Sam3Error], None],
    ) -> None:
        """Run a question, unless a newer one of the same key takes its place before.

        Errors that are no `Sam3Error` are shown by others; `failed` gets a `CancelledError` then.
        """

    def forget(self, key: Hashable) -> None:
        """Drop the question of this key, or its answer."""

    def stream(
        self,
        start: Callable[[], Generator[Result, None, None]],
        arrived: Callable[[Result], None],
        ended: Callable[[Sam3Error | None], None],
    ) -> Stream:
        """Run a generator, hand over what it yields, and say how it ended."""

"""How much goes through a model at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from ...values import DeviceMemoryError

MOST = 32
"""Objects in one pass; more of them are not faster."""
TOO_SMALL = (
    "The memory of the graphics card is too small for this model: close other programs that use "
    'the card, choose a smaller model, or the device "cpu".'
)

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def enough_memory() -> Iterator[None]:
    """Tell the user if the graphics card has too little memory for what is done meanwhile.

    Raises
    ------
    NoRoomError
        If it has.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceMemoryError(TOO_SMALL) from error


class MicroBatches:
    """Sends items of one kind through a model together, as many as its memory holds.

    Where it is too small, passes become half as large, and stay so.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most

    def run(
        self,
        ask: Callable[[Sequence[Item]], Sequence[Result]],
        items: Sequence[Item],
        kind: Callable[[Item], Hashable],
    ) -> list[Result]:
        """Return the results of all items, in their order."""
        results: dict[int, Result] = {}
        for group in _groups([kind(item) for item in items]):
            asked = self._asked(ask, [items[index] for index in group])
            results.update(zip(group, asked, strict=True))
        return [results[index] for index in range(len(items))]

    def _asked(
        self, ask: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
    ) -> list[Result]:
        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self._most]
            try:
                results += ask(batch)
            except torch.cuda.OutOfMemoryError as error:
                self._shrink(len(batch), error)
        return results

    def _shrink(self, tried: int, error: torch.cuda.OutOfMemoryError) -> None:
        if tried == 1:
            raise DeviceMemoryError(TOO_SMALL) from error
        self._most = tried // 2


def _groups(kinds: Sequence[Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for index, kind in enumerate(kinds):
        groups.setdefault(kind, []).append(index)
    return list(groups.values())

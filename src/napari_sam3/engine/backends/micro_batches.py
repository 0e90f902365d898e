"""As much at once through a model as the memory of its device holds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from ...values import DeviceMemoryError

MAX_BATCH = 32
"""Objects in one batch; more of them are not faster."""
TOO_SMALL = (
    "The memory of the graphics card is too small for this model: close other programs that use "
    'the card, choose a smaller model, or the device "cpu".'
)

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def enough_memory() -> Iterator[None]:
    """Tell the user if the graphics card has too little memory meanwhile.

    Raises
    ------
    DeviceMemoryError
        If it has.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceMemoryError(TOO_SMALL) from error


class MicroBatches:
    """Sends items that go together through a model, in batches that its memory holds.

    Where it is too small, batches become half as large, and stay so.
    """

    def __init__(self, max_batch: int = MAX_BATCH) -> None:
        self._max_batch = max_batch

    def run(
        self,
        compute: Callable[[Sequence[Item]], Sequence[Result]],
        items: Sequence[Item],
        batch_key: Callable[[Item], Hashable],
    ) -> list[Result]:
        """Return the results of all items, in their order; items of one key go together."""
        results: dict[int, Result] = {}
        for group in _groups([batch_key(item) for item in items]):
            computed = self._computed(compute, [items[index] for index in group])
            results.update(zip(group, computed, strict=True))
        return [results[index] for index in range(len(items))]

    def _computed(
        self, compute: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
    ) -> list[Result]:
        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self._max_batch]
            try:
                results += compute(batch)
            except torch.cuda.OutOfMemoryError as error:
                self._shrink(len(batch), error)
        return results

    def _shrink(self, failed_batch: int, error: torch.cuda.OutOfMemoryError) -> None:
        if failed_batch == 1:
            raise DeviceMemoryError(TOO_SMALL) from error
        self._max_batch = failed_batch // 2


def _groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Return the positions of equal keys."""
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())

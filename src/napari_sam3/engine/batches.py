"""How many images go through a model together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from .backend import Backend, Embedding
from .errors import NoRoomError

MOST = 64
"""Images in one pass; more of them are not faster on any device."""
MOST_BYTES = 2**28
"""What the images of one pass may occupy in the main memory."""
GAIN = 0.9
"""Twice as many images are worth it if each takes less than this share of the time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one image costs a model."""

    seconds: float | None  # to embed it; None where all were kept from before
    nbytes: int  # that its embedding occupies


class Batches:
    """Embeds images, and learns how many in one pass are the fastest.

    A graphics card looks at several images at once: the number is doubled until an image gains no
    more from it, or memory is short. A processor is busy with one already.

    Parameters
    ----------
    device : str
        Where the model calculates.
    clock : callable
        Returns the time in seconds.
    """

    def __init__(self, device: str, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._size = 1
        self._is_settled = device == "cpu"
        self._is_warm = False  # whether the first pass of this size, a slow one, is over
        self._best = float("inf")  # seconds for an image in passes of half the size
        self._costs: dict[tuple[int, ...], Cost] = {}

    def size(self, shape: tuple[int, int]) -> int:
        """Return how many images (H, W, 3) the next pass should have."""
        image_bytes = shape[0] * shape[1] * 3 * np.dtype(np.float32).itemsize
        return max(1, min(self._size, MOST_BYTES // image_bytes))

    def cost(self, shape: tuple[int, int]) -> Cost | None:
        """Return what an image (H, W, 3) cost last, if there was one."""
        return self._costs.get(shape)

    def encoded(
        self, backend: Backend, images: Sequence[NDArray[np.float32]]
    ) -> Sequence[Embedding]:
        """Embed images, (H, W, 3), in one pass, or in several where memory is short."""
        if not images:
            return []
        began = self._clock()
        try:
            made = _passed(backend, images)
        except NoRoomError:
            if len(images) == 1:
                raise
            half = len(images) // 2
            self._settle(half)
            return [*self.encoded(backend, images[:half]), *self.encoded(backend, images[half:])]
        seconds = (self._clock() - began) / len(images)
        self._costs[images[0].shape[:2]] = Cost(seconds, made[0].nbytes)
        self._learn(len(images), seconds)
        return made

    def _learn(self, count: int, seconds: float) -> None:
        if self._is_settled or count != self._size:
            return
        if not self._is_warm:
            self._is_warm = True
            return
        if seconds > GAIN * self._best:
            self._settle(count // 2)
            return
        self._best, self._size, self._is_warm = seconds, 2 * count, False
        if self._size > MOST:
            self._settle(MOST)

    def _settle(self, size: int) -> None:
        self._size = size
        self._is_settled = True


def _passed(backend: Backend, images: Sequence[NDArray[np.float32]]) -> Sequence[Embedding]:
    if len(images) == 1:
        return [backend.encode(images[0])]
    return backend.encode_batch(images)

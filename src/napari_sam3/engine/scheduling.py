"""Which thread uses a model next, and how many images it encodes at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from threading import Condition
from time import perf_counter
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..values import DeviceMemoryError
from .backends.base import Backend, Embedding

MAX_BATCH = 64
"""Images in one batch; more of them are not faster on any device."""
MAX_BATCH_BYTES = 2**28
"""Main memory that the images of one batch may occupy."""
MIN_GAIN = 0.9
"""A batch twice as large pays off if an image takes less than this share of the time."""


class Turns:
    """The lock of a model, for which clicks wait in front of background work.

    It is held for one frame and never across a ``yield`` of masks, so that a click gets its turn
    between two frames of a propagation.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._current: Turn | None = None
        self._waiting_clicks: list[Turn] = []

    def interactive(self) -> Turn:
        """Return a turn for a click, which goes before background turns."""
        return Turn(self, True)

    def background(self) -> Turn:
        """Return a turn that begins when no click waits."""
        return Turn(self, False)

    @property
    def keys(self) -> frozenset[Hashable]:
        """Keys of the embeddings that the current turn is for."""
        current = self._current
        return frozenset() if current is None else current.keys

    @property
    def is_click_blocked(self) -> bool:
        """Whether a background turn keeps a click waiting that needs another embedding."""
        with self._changed:
            current = self._current
            if current is None or current.is_interactive:
                return False
            return not all(click.is_served_by(current) for click in self._waiting_clicks)

    def acquire(self, turn: Turn) -> None:
        """Wait until the model is free for a turn, and begin it."""
        with self._changed:
            if not turn.is_interactive:
                self._changed.wait_for(lambda: self._current is None and not self._waiting_clicks)
                self._current = turn
                return
            self._waiting_clicks.append(turn)
            try:
                self._changed.wait_for(lambda: self._current is None)
                self._current = turn
            finally:
                self._waiting_clicks.remove(turn)

    def release(self) -> None:
        """End the current turn."""
        with self._changed:
            self._current = None
            self._changed.notify_all()


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A turn at a model that lasts as long as a ``with``, and may be taken again after it."""

    turns: Turns
    is_interactive: bool  # whether a click waits for it
    keys: frozenset[Hashable] = frozenset()  # of the embeddings that it is for

    def for_keys(self, *keys: Hashable) -> Turn:
        """Return the same turn, for the embeddings of these keys."""
        return replace(self, keys=frozenset(keys))

    def is_served_by(self, turn: Turn) -> bool:
        """Whether a turn is for all embeddings that this turn waits for."""
        return bool(self.keys) and self.keys <= turn.keys

    def __enter__(self) -> None:
        self.turns.acquire(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.turns.release()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one image costs a model."""

    seconds: float | None  # to encode it; None where all embeddings were read from disk
    nbytes: int  # of its embedding


class BatchEncoder:
    """Encodes images, and learns how many in one batch are the fastest.

    A graphics card encodes several images at once: the batch is doubled until an image takes no
    less time, or memory is short. A CPU is busy with one image already.

    Parameters
    ----------
    device : str
        Where the model runs.
    clock : callable
        Returns the time in seconds.
    """

    def __init__(self, device: str, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._size = 1
        self._is_settled = device == "cpu"
        self._is_warm = False  # whether the first batch of this size, a slow one, is over
        self._best_seconds = float("inf")  # for an image in batches of half the size
        self._costs: dict[tuple[int, ...], Cost] = {}

    def size(self, shape: tuple[int, int]) -> int:
        """Return how many images of this shape (H, W) the next batch should have."""
        image_bytes = shape[0] * shape[1] * 3 * np.dtype(np.float32).itemsize
        return max(1, min(self._size, MAX_BATCH_BYTES // image_bytes))

    def cost(self, shape: tuple[int, int]) -> Cost | None:
        """Return what the latest image of this shape (H, W) cost; None if there was none."""
        return self._costs.get(shape)

    def encode(
        self, backend: Backend, images: Sequence[NDArray[np.float32]]
    ) -> Sequence[Embedding]:
        """Encode images, (H, W, 3), in one batch, or in several where memory is short."""
        if not images:
            return []
        began = self._clock()
        try:
            embeddings = _encode_batch(backend, images)
        except DeviceMemoryError:
            if len(images) == 1:
                raise
            half = len(images) // 2
            self._settle(half)
            return [*self.encode(backend, images[:half]), *self.encode(backend, images[half:])]
        seconds = (self._clock() - began) / len(images)
        self._costs[images[0].shape[:2]] = Cost(seconds, embeddings[0].nbytes)
        self._learn(len(images), seconds)
        return embeddings

    def _learn(self, count: int, seconds: float) -> None:
        """Choose the size of the next batch by the seconds that each image of this one took."""
        if self._is_settled or count != self._size:
            return
        if not self._is_warm:
            self._is_warm = True
            return
        if seconds > MIN_GAIN * self._best_seconds:
            self._settle(count // 2)
            return
        self._best_seconds, self._size, self._is_warm = seconds, 2 * count, False
        if self._size > MAX_BATCH:
            self._settle(MAX_BATCH)

    def _settle(self, size: int) -> None:
        self._size = size
        self._is_settled = True


def _encode_batch(backend: Backend, images: Sequence[NDArray[np.float32]]) -> Sequence[Embedding]:
    if len(images) == 1:
        return [backend.encode(images[0])]
    return backend.encode_batch(images)

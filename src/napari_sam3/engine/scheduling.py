"""Whose turn it is at a model: clicks go before propagations."""

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


class Turns:
    """One place that one thread holds at a time.

    A turn is never held across a ``yield`` of masks: a propagation takes one for every frame, and
    whoever waits for a click goes before it.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken: Turn | None = None
        self._clicks: list[Turn] = []  # that wait

    def interactive(self) -> Turn:
        """Return a turn for somebody who waits for the answer."""
        return Turn(self, True)

    def background(self) -> Turn:
        """Return a turn that is taken when nobody waits for a click."""
        return Turn(self, False)

    @property
    def pictures(self) -> frozenset[Hashable]:
        """Keys of what is looked at in the turn under way."""
        taken = self._taken
        return frozenset() if taken is None else taken.pictures

    @property
    def is_in_the_way(self) -> bool:
        """Whether the turn under way is a background one, and a click waits for another picture."""
        with self._changed:
            taken = self._taken
            if taken is None or taken.is_interactive:
                return False
            return not all(click.is_served_by(taken) for click in self._clicks)

    def take(self, turn: Turn) -> None:
        """Wait until the place is free for this turn, and take it."""
        with self._changed:
            if not turn.is_interactive:
                self._changed.wait_for(lambda: self._taken is None and not self._clicks)
                self._taken = turn
                return
            self._clicks.append(turn)
            try:
                self._changed.wait_for(lambda: self._taken is None)
                self._taken = turn
            finally:
                self._clicks.remove(turn)

    def leave(self) -> None:
        """Free the place."""
        with self._changed:
            self._taken = None
            self._changed.notify_all()


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A turn that lasts as long as a ``with``, and may be taken again after it."""

    turns: Turns
    is_interactive: bool  # whether somebody waits for the answer
    pictures: frozenset[Hashable] = frozenset()  # keys of what is looked at in it

    def about(self, *pictures: Hashable) -> Turn:
        """Return the same turn, for looking at pictures of these keys."""
        return replace(self, pictures=frozenset(pictures))

    def is_served_by(self, other: Turn) -> bool:
        """Whether the other turn looks at all that this one waits for."""
        return bool(self.pictures) and self.pictures <= other.pictures

    def __enter__(self) -> None:
        self.turns.take(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.turns.leave()


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
        except DeviceMemoryError:
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

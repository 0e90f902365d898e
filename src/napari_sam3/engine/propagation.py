"""The plan of a propagation: which objects are followed from where to where."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from .errors import PromptError

Key = tuple[int, int]  # frame, object id


@dataclass(frozen=True, slots=True)
class Walk:
    """One object followed from a frame where it is prompted, in one direction."""

    object_id: int
    start: int  # the prompted frame
    stop: int  # the last frame; equal to ``start`` when it is not followed any further


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at one frame while walking in one direction."""

    frame: int
    starts: tuple[int, ...]  # objects prompted here
    follows: tuple[int, ...]  # objects followed to here from the step before
    yields: tuple[int, ...]  # those of both whose masks were asked for


@dataclass(frozen=True, slots=True)
class Plan:
    """Every frame of an object is reached from the nearest frame where it is prompted.

    Of two that are equally near the earlier one is taken. Frames that were not asked for are
    walked through where they lie in between.
    """

    walks: tuple[Walk, ...]
    frames: range

    @classmethod
    def of(cls, prompted: Collection[Key], frames: range) -> Self:
        """Plan to follow the prompted objects through these frames, given in any order."""
        if not prompted:
            raise PromptError("Nothing is prompted yet: click on an object first.")
        if not frames:
            raise PromptError("The range holds no frame: choose a last frame after the first.")
        starts: dict[int, list[int]] = {}
        for frame, object_id in sorted(prompted):
            starts.setdefault(object_id, []).append(frame)
        walks = (walk for item in starts.items() for walk in _walks(*item, frames))
        return cls(tuple(walks), frames)

    @property
    def turning(self) -> frozenset[Key]:
        """Prompted frames from which an object is followed backward."""
        return frozenset((walk.start, walk.object_id) for walk in self.walks if _is_back(walk))

    def steps(self) -> Iterator[Step]:
        """Walk forward through all prompted frames, then backward."""
        yield from _forward([walk for walk in self.walks if not _is_back(walk)], self.frames)
        yield from _backward([walk for walk in self.walks if _is_back(walk)], self.frames)


def _is_back(walk: Walk) -> bool:
    return walk.stop < walk.start


def _walks(object_id: int, starts: list[int], frames: range) -> Iterator[Walk]:
    """Share the frames out among the prompted ones; each starts, even if it goes backward alone."""
    asked = np.sort(np.array(frames))
    last_nearer = np.add(starts[:-1], starts[1:]) // 2
    shares = np.split(asked, np.searchsorted(asked, last_nearer, "right"))
    for start, share in zip(starts, shares, strict=True):
        if share.size:
            yield Walk(object_id, start, max(start, int(share[-1])))
        if share.size and share[0] < start:
            yield Walk(object_id, start, int(share[0]))


def _forward(walks: Sequence[Walk], frames: range) -> Iterator[Step]:
    for frame in range(min(w.start for w in walks), max(w.stop for w in walks) + 1):
        starts = tuple(w.object_id for w in walks if w.start == frame)
        follows = tuple(w.object_id for w in walks if w.start < frame <= w.stop)
        if starts or follows:
            yield Step(frame, starts, follows, starts + follows if frame in frames else ())


def _backward(walks: Sequence[Walk], frames: range) -> Iterator[Step]:
    if not walks:
        return
    for frame in range(max(w.start for w in walks), min(w.stop for w in walks) - 1, -1):
        starts = tuple(w.object_id for w in walks if w.start == frame)
        follows = tuple(w.object_id for w in walks if w.stop <= frame < w.start)
        if starts or follows:
            yield Step(frame, starts, follows, follows if frame in frames else ())

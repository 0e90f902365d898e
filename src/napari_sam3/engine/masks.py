"""The pixels of one object on one frame, as a model answers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

ReadingName = Literal["whole", "part", "sub-part"]
READING_NAMES: tuple[ReadingName, ...] = ("whole", "part", "sub-part")


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One way to understand a prompt: the whole object, a part, or a part of that."""

    name: ReadingName
    pixels: NDArray[np.bool_]  # (H, W), read-only
    score: float  # predicted intersection over union with what was meant, 0..1

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        """Return the pixels, so that a reading stands wherever a mask does."""
        return np.array(self.pixels, dtype=dtype, copy=copy)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectMask:
    """The mask of one object on one frame."""

    frame: int
    object_id: int
    pixels: NDArray[np.bool_]  # (H, W), read-only; all False when the object is not there
    score: float  # predicted intersection over union, 0..1
    alternatives: tuple[Reading, ...] = field(default=())  # up to three, best first

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.pixels))


def named_readings(
    masks: Sequence[NDArray[np.bool_]], scores: Sequence[float]
) -> tuple[Reading, ...]:
    """Name masks (H, W) by their size, largest first, and order them by score, best first."""
    by_area = np.argsort([-np.count_nonzero(mask) for mask in masks], kind="stable")
    names = {int(index): name for index, name in zip(by_area, READING_NAMES, strict=False)}
    readings = [
        Reading(names[index], masks[index], float(scores[index])) for index in range(len(masks))
    ]
    return tuple(sorted(readings, key=lambda reading: -reading.score))

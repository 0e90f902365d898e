"""Where the pixels of an array lie in the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Geometry:
    """Axes of an array, and how pixels are told from the world along each."""

    axes: str  # a letter for each, such as tzyx
    scale: tuple[float, ...]  # size of a pixel, in the unit of its axis
    translation: tuple[float, ...]  # centre of the first pixel, in the unit of its axis
    units: tuple[str, ...]  # of each axis; "pixel" where there is none

    @classmethod
    def of_pixels(cls, axes: str) -> Self:
        """Return the geometry of an array of which no more than its axes is known."""
        count = len(axes)
        return cls(axes, (1.0,) * count, (0.0,) * count, ("pixel",) * count)

"""The part of a frame that a model looks at as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...values import Box


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a frame, seen at one of its levels.

    Level 0 is the frame itself; every further one has half the rows and columns, rounded up.
    """

    level: int
    top: int  # first row, in pixels of the level
    left: int  # first column
    height: int  # rows
    width: int  # columns

    @property
    def scale(self) -> int:
        """Pixels of the frame per pixel of the level."""
        return 1 << self.level

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def box(self, shape: tuple[int, int]) -> Box:
        """Return the part of a frame (H, W) that it shows, in pixels of the frame."""
        bottom, right = self.top + self.height, self.left + self.width
        return Box(
            self.top * self.scale,
            self.left * self.scale,
            min(bottom * self.scale, shape[0]),
            min(right * self.scale, shape[1]),
        )

    def inner_sides(self, shape: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
        """Whether its top, left, bottom and right cut a frame (H, W) and are not its border."""
        top, left, bottom, right = self.box(shape)
        return top > 0, left > 0, bottom < shape[0], right < shape[1]

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn points of the frame, (N, 2) as row and column, into points of the window."""
        return (points + 0.5) / self.scale - 0.5 - np.array([self.top, self.left])

    def frees(self, box: Sequence[float], shape: tuple[int, int], margin: int) -> bool:
        """Whether a box of a frame (H, W) is inside, and so far from the sides that cut it.

        The margin is counted in pixels of the level.
        """
        own = self.box(shape)
        spaces = (box[0] - own[0], box[1] - own[1], own[2] - box[2], own[3] - box[3])
        wanted = [margin * self.scale if cuts else 0 for cuts in self.inner_sides(shape)]
        return all(space >= least for space, least in zip(spaces, wanted, strict=True))


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Return rows and columns of a level of a frame (H, W)."""
    return -(-shape[0] >> level), -(-shape[1] >> level)

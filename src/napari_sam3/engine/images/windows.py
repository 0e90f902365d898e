"""Windows: the parts of a frame that a model encodes as one image each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...values import Box


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a frame, on one of its levels.

    Level 0 is the frame itself; every further level has half the rows and columns, rounded up.
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

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn points of the frame, (N, 2) as row and column, into points of the window."""
        return (points + 0.5) / self.scale - 0.5 - np.array([self.top, self.left])

    def contains(self, box: Sequence[float], shape: tuple[int, int], margin: int) -> bool:
        """Tell whether a box of a frame (H, W) is inside, so far from the sides that cut the frame.

        The margin is counted in pixels of the level.
        """
        own = self.box(shape)
        distances = (box[0] - own.top, box[1] - own.left, own.bottom - box[2], own.right - box[3])
        cuts = (own.top > 0, own.left > 0, own.bottom < shape[0], own.right < shape[1])
        return all(
            distance >= (margin * self.scale if cut else 0)
            for distance, cut in zip(distances, cuts, strict=True)
        )


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Return rows and columns of a level of a frame (H, W)."""
    return -(-shape[0] >> level), -(-shape[1] >> level)

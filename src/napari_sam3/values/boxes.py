"""Boxes of pixels on a frame, and the frames and objects that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

FrameIndex = tuple[int, ...]
"""Index along every axis of a layer before rows and columns; empty for one 2-D image."""

Frame = TypeVar("Frame", int, tuple[int, ...])
Key = tuple[Frame, int]
"""A frame, by its number in a stack or its index in a layer, and the id of an object."""

Corners = tuple[float, float, float, float]
"""Row, column, row, column of two opposite corners of a box that was drawn, in pixels."""

LARGE_FRAME = 2048 * 2048
"""A frame of more pixels is never read as a whole, but tile by tile."""


def is_large(shape: Sequence[int]) -> bool:
    """Tell whether frames of data of this shape are too large to be read as a whole."""
    return shape[-2] * shape[-1] > LARGE_FRAME


class Box(NamedTuple):
    """Pixels of a frame, from the first row and column to those after the last."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Self:
        """Return the box of all pixels of data of this shape, rows and columns last."""
        return cls(0, 0, int(shape[-2]), int(shape[-1]))

    @classmethod
    def at(cls, rows: slice, columns: slice) -> Self:
        """Return the box of these rows and columns."""
        return cls(rows.start, columns.start, rows.stop, columns.stop)

    @classmethod
    def around(cls, mask: NDArray[np.bool_]) -> Self:
        """Return the smallest box around the pixels of a mask (H, W); empty where it has none."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return cls(0, 0, 0, 0)
        return cls(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of an array of the frame, (H, W)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.top >= self.bottom or self.left >= self.right

    @property
    def area(self) -> int:
        """Number of pixels."""
        return 0 if self.is_empty else (self.bottom - self.top) * (self.right - self.left)

    def union(self, box: Box) -> Box:
        """Return the smallest box that holds both; an empty box adds nothing."""
        if box.is_empty:
            return self
        if self.is_empty:
            return box
        first = min(self.top, box.top), min(self.left, box.left)
        return Box(*first, max(self.bottom, box.bottom), max(self.right, box.right))

    def intersection(self, box: Box) -> Box:
        """Return the pixels that are in both; empty where there are none."""
        first = max(self.top, box.top), max(self.left, box.left)
        return Box(*first, min(self.bottom, box.bottom), min(self.right, box.right))

    def contains(self, box: Box) -> bool:
        """Tell whether another box lies inside."""
        if box.top >= box.bottom or box.left >= box.right:
            return True
        return (
            self.top <= box.top
            and self.left <= box.left
            and self.bottom >= box.bottom
            and self.right >= box.right
        )

    def is_far_from(self, box: Box) -> bool:
        """Tell whether the box around both is mostly made of what lies between them."""
        return self.union(box).area > 2 * (self.area + box.area)

    def shifted(self, rows: int, columns: int) -> Box:
        """Return the box so many rows down and columns to the right."""
        return Box(self.top + rows, self.left + columns, self.bottom + rows, self.right + columns)

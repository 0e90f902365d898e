"""Boxes of pixels on a frame: first row, first column, last row + 1, last column + 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

PixelBox = tuple[int, int, int, int]
"""First row, first column, last row + 1, last column + 1."""

Place = tuple[int, ...]
"""Index along every axis of a layer before rows and columns; of one 2-D image it is empty."""

Frame = TypeVar("Frame", int, tuple[int, ...])
Key = tuple[Frame, int]
"""A frame, by its number in a stack or its index in a layer, and the id of an object."""

LARGE_FRAME = 2048 * 2048
"""A frame of more pixels is never read as a whole, but tile by tile."""


def is_large(shape: Sequence[int]) -> bool:
    """Tell whether frames of data of this shape are too large to be read as a whole."""
    return shape[-2] * shape[-1] > LARGE_FRAME


def whole(shape: tuple[int, ...]) -> PixelBox:
    """Return the box of all pixels of data of this shape, rows and columns last."""
    return 0, 0, int(shape[-2]), int(shape[-1])


def bounding(mask: NDArray[np.bool_]) -> PixelBox | None:
    """Return the box around the pixels of a mask (H, W); None where it has none."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def is_empty(box: PixelBox) -> bool:
    """Tell whether a box holds no pixel."""
    return box[0] >= box[2] or box[1] >= box[3]


def joined(one: PixelBox, other: PixelBox | None) -> PixelBox:
    """Return the smallest box that holds both; an empty one is nowhere."""
    if other is None or is_empty(other):
        return one
    if is_empty(one):
        return other
    first = min(one[0], other[0]), min(one[1], other[1])
    return *first, max(one[2], other[2]), max(one[3], other[3])


def area(box: PixelBox) -> int:
    """Return how many pixels a box holds."""
    return 0 if is_empty(box) else (box[2] - box[0]) * (box[3] - box[1])


def are_apart(one: PixelBox, other: PixelBox) -> bool:
    """Tell whether the box around both is mostly made of what lies between them."""
    return area(joined(one, other)) > 2 * (area(one) + area(other))


def holds(box: PixelBox, other: PixelBox) -> bool:
    """Tell whether the other box lies inside."""
    return joined(box, other) == box


def moved(box: PixelBox, top: int, left: int) -> PixelBox:
    """Return a box so many rows and columns further down and right."""
    return box[0] + top, box[1] + left, box[2] + top, box[3] + left


def placed(mask: NDArray[np.bool_], box: PixelBox, target: PixelBox) -> NDArray[np.bool_]:
    """Return a larger mask, of the pixels in the target box, that holds one of a box inside it."""
    if box == target:
        return mask
    larger = np.zeros((target[2] - target[0], target[3] - target[1]), bool)
    top, left = box[0] - target[0], box[1] - target[1]
    larger[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return larger

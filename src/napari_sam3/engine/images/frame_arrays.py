"""Arrays with their axes in one order or another, opened as stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FramesError
from .frame_levels import FrameLevel


@dataclass(frozen=True, slots=True)
class Stack:
    """An array that is read frame by frame, or in parts of a frame."""

    count: int
    channels: int
    is_rgb: bool
    read: Callable[[int], NDArray[Any]]  # frame -> (H, W, C)
    level: FrameLevel

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        return self.level.shape


def stack_of(data: Any) -> Stack:
    """Tell the axes of an array (H, W), (F, H, W), (F, H, W, C) or (H, W, 3 | 4)."""
    check_dtype(np.dtype(data.dtype))
    shape = tuple(int(side) for side in data.shape)
    match shape:
        case (rows, cols):
            return _gray_image(data, (rows, cols))
        case (rows, cols, 3 | 4):
            return _color_image(data, (rows, cols))
        case (count, rows, cols):
            return _gray_stack(data, count, (rows, cols))
        case (count, rows, cols, channels):
            return _channel_stack(data, count, (rows, cols), channels)
    raise FramesError(
        f"An image of shape {shape} cannot be read as a stack: its axes are to be (rows, "
        "columns), (frames, rows, columns) or (frames, rows, columns, channels)."
    )


def stacks_of(arrays: Sequence[Any]) -> list[Stack]:
    """Tell the axes of arrays that hold the same stack ever coarser, the finest first.

    Raises
    ------
    FramesError
        If they do not fit together.
    """
    stacks = [stack_of(data) for data in arrays]
    if not stacks:
        raise FramesError("The image has no levels: choose another image.")
    for finer, coarser in pairwise(stacks):
        is_same = (finer.count, finer.channels) == (coarser.count, coarser.channels)
        if not is_same or max(np.subtract(coarser.shape, finer.shape)) > 0:
            raise FramesError(
                f"The levels of the image do not fit together: {finer.count} frames of "
                f"{finer.shape} pixels are followed by {coarser.count} of {coarser.shape}. Open "
                "its finest level alone."
            )
    return stacks


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Refuse values that have no brightness."""
    if dtype.kind not in "buif":
        raise FramesError(
            f"An image of type {dtype} cannot be shown to a model: convert it to integers or "
            "floats first."
        )


def _gray_image(data: Any, shape: tuple[int, int]) -> Stack:
    def part(_: int, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(data[rows, cols])[..., None]

    return Stack(1, 1, False, lambda _: np.asarray(data[:])[..., None], FrameLevel(shape, part))


def _color_image(data: Any, shape: tuple[int, int]) -> Stack:
    def part(_: int, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(data[rows, cols])[..., :3]

    return Stack(1, 3, True, lambda _: np.asarray(data[:])[..., :3], FrameLevel(shape, part))


def _gray_stack(data: Any, count: int, shape: tuple[int, int]) -> Stack:
    def part(frame: int, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(data[frame, rows, cols])[..., None]

    def whole(frame: int) -> NDArray[Any]:
        return np.asarray(data[frame])[..., None]

    return Stack(count, 1, False, whole, FrameLevel(shape, part))


def _channel_stack(data: Any, count: int, shape: tuple[int, int], channels: int) -> Stack:
    def part(frame: int, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(data[frame, rows, cols])

    is_rgb = channels == 3 and data.dtype == np.uint8
    whole = FrameLevel(shape, part)
    return Stack(count, channels, is_rgb, lambda frame: np.asarray(data[frame]), whole)

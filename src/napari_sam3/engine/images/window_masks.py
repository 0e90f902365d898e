"""Masks and prompts on their way between a frame and a window of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..masks import Patched, Place, Reading, trimmed
from ..prompts import Prompts
from .windows import PixelBox, Window


def prompts_in(prompts: Prompts, window: Window) -> Prompts:
    """Say in a window what was said about a frame; points outside are left out."""
    points = window.points(prompts.points)
    inside = ((points >= -0.5) & (points <= np.array(window.shape) - 0.5)).all(1)
    boxes = window.points(prompts.boxes.reshape(-1, 2)).reshape(-1, 4)
    outline: Patched | None = prompts.outline
    if prompts.mask is not None:
        outline = Reading("whole", prompts.mask, 1.0)
    mask = None if outline is None else mask_in(outline, window)
    return Prompts(points[inside], prompts.positive[inside], boxes, mask)


def mask_in(mask: Patched, window: Window) -> NDArray[np.bool_]:
    """Show a mask of a frame in a window, (h, w): pixels of the level of which it covers half."""
    seen = np.zeros(window.shape, bool)
    top, left, bottom, right = _shared(mask.box, window.box(mask.shape))
    if top >= bottom or left >= right:
        return seen
    row, col = mask.box[:2]
    part = mask.patch[top - row : bottom - row, left - col : right - col]
    if not window.level:
        seen[top - window.top : bottom - window.top, left - window.left : right - window.left] = (
            part
        )
        return seen
    shares = _shares(part, (top, left), window.scale)
    first_row, first_col = top // window.scale - window.top, left // window.scale - window.left
    rows = slice(first_row, first_row + shares.shape[0])
    cols = slice(first_col, first_col + shares.shape[1])
    seen[rows, cols] = (shares > 0) & (shares >= min(0.5, shares.max()))
    return seen


def on_frame(reading: Reading, window: Window, shape: tuple[int, int]) -> Reading:
    """Turn a reading of a window into one of its frame (H, W).

    Outlines from a coarser level are drawn smoothly through its pixels.
    """
    scale = window.scale
    row, col = reading.box[:2]
    top, left = (row + window.top) * scale, (col + window.left) * scale
    patch = reading.patch if scale == 1 else enlarged(reading.patch, scale)
    patch = patch[: shape[0] - top, : shape[1] - left]
    patch.setflags(write=False)
    return Reading(reading.name, patch, reading.score, Place(top, left, shape))


def placed(
    readings: Sequence[Reading], window: Window, shape: tuple[int, int]
) -> tuple[Reading, ...]:
    """Turn readings (h, w) of a window into those of its frame (H, W), without empty space."""
    return tuple(on_frame(trimmed(reading), window, shape) for reading in readings)


def enlarged(patch: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """Enlarge a mask (h, w) smoothly to (h x scale, w x scale), a few rows at a time."""
    if not patch.size:
        return np.zeros((0, 0), bool)
    wide = _between(np.pad(patch, 1).astype(np.float32).T, scale)
    wide = wide.reshape(-1, wide.shape[-1]).T
    rows = [_between(wide[row : row + 3], scale)[0] > 0.5 for row in range(len(patch))]
    return np.concatenate(rows)


def _between(values: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Interpolate between n + 2 rows (n + 2, w): n times as many as the scale, (n, scale, w)."""
    steps = ((np.arange(scale, dtype=np.float32) + 0.5) / scale - 0.5)[:, None]
    middle = values[1:-1, None]
    before, after = middle - values[:-2, None], values[2:, None] - middle
    return np.asarray(middle + np.where(steps < 0, before, after) * steps, np.float32)


def _shares(part: NDArray[np.bool_], corner: tuple[int, int], scale: int) -> NDArray[np.float64]:
    """Return how much of each pixel of a level a mask covers that begins at a corner."""
    counts = part
    for axis, (first, size) in enumerate(zip(corner, part.shape, strict=True)):
        starts = np.arange(-(first % scale), size, scale)
        counts = np.add.reduceat(counts, np.maximum(starts, 0), axis, dtype=np.int64)
    return counts / scale**2


def _shared(one: PixelBox, other: PixelBox) -> PixelBox:
    return (
        max(one[0], other[0]),
        max(one[1], other[1]),
        min(one[2], other[2]),
        min(one[3], other[3]),
    )

"""Windows for prompts, tiles for whole frames, and what lies on both as seen from either.

A window shows what is prompted with surroundings on all sides, so that a mask does not depend on
where the window happens to begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...values import Box, Corners, Mask, Prompts
from .frames import Frames, Window, level_shape

WINDOW_SIDE = 1024
"""Rows and columns of a window, with its surroundings, in pixels of its level."""
WINDOW_MARGIN = WINDOW_SIDE // 4
"""What is prompted is at least so far from the sides of the window that cut the frame."""
STEP = WINDOW_SIDE // 4
"""Windows around small objects begin at multiples of this, so that neighbours share a window."""
FINE_STEP = WINDOW_SIDE // 16
"""Those around larger objects begin at multiples of this, which is a whole cell of any network."""
LARGEST_EXTENT = WINDOW_SIDE - 2 * WINDOW_MARGIN - FINE_STEP
"""What is larger than this, in pixels of a level, is encoded on the next coarser level."""
CLICK_MARGIN = WINDOW_SIDE // 16
"""A further click that is at least so far from the sides of its window is decoded there."""
CUT_MARGIN = 8
"""A mask that comes so near to a side of its window, in pixels of the level, may go on beyond."""
COARSER_LEVELS = 2
"""How many levels coarser than the coarsest stored one a mask is continued: each further level
reads four times as many pixels."""
TILE_OVERLAP = 128
"""Neighbouring tiles share a strip at least so wide, in pixels."""


def window_for(prompts: Prompts, shape: tuple[int, int], visible: Corners | None = None) -> Window:
    """Return the window of a frame (H, W) in which prompts are decoded.

    Boxes and outlines tell how large the object is. Clicks do not: their level is the one on which
    the frame is seen that is visible to this extent on the screen, or else level 0.
    """
    extent = extent_of(prompts)
    level = level_for(extent, shape)
    if visible is not None and not prompts.has_mask and not len(prompts.boxes):
        level = max(level, min(_visible_level(visible, shape), coarsest(shape)))
    return window_around(extent, level, shape)


def propagation_windows(masks: Iterable[Mask], current: Mapping[int, Window]) -> dict[int, Window]:
    """Return the windows to which objects are propagated, by their ids; few windows serve many.

    An object stays in its current window while it is far enough from the sides. Half the margin
    that a new window leaves is enough, so that no object goes to and fro between two.
    """
    known = dict.fromkeys(current.values())
    windows: dict[int, Window] = {}
    for mask in masks:
        window = current.get(mask.object_id)
        if window is None or not window.contains(mask.box, mask.shape, WINDOW_MARGIN // 2):
            own = window_around(mask.box, level_for(mask.box, mask.shape), mask.shape)
            window = shared_window(own, mask.box, known, mask.shape)
        windows[mask.object_id] = window
        known[window] = None
    return windows


def shared_window(
    window: Window, extent: Sequence[float], known: Iterable[Window], shape: tuple[int, int]
) -> Window:
    """Return a known window that shows an extent as well as this window does, or this window."""
    for candidate in known:
        if candidate.level == window.level and candidate.contains(extent, shape, WINDOW_MARGIN):
            return candidate
    return window


def wider_window(window: Window, box: Box, frames: Frames) -> Window | None:
    """Return a coarser window for a mask that its window cuts, or None.

    Parameters
    ----------
    window : Window
        Where the mask was decoded.
    box : Box
        Where it is on the frame.
    frames : Frames
        The stack.
    """
    is_whole = window.contains(box, frames.shape, CUT_MARGIN)
    if is_whole or window.level >= _coarsest_continued(frames):
        return None
    return window_around(box, window.level + 1, frames.shape)


def window_around(extent: Sequence[float], level: int, shape: tuple[int, int]) -> Window:
    """Return the window of a level with a row, col, row, col of a frame (H, W) in its middle."""
    sizes = level_shape(shape, level)
    top, left = (
        _window_start(extent[axis] / 2**level, extent[axis + 2] / 2**level, sizes[axis])
        for axis in (0, 1)
    )
    height, width = min(WINDOW_SIDE, sizes[0] - top), min(WINDOW_SIDE, sizes[1] - left)
    return Window(level, top, left, height, width)


def level_for(extent: Sequence[float], shape: tuple[int, int]) -> int:
    """Return the finest level on which an extent is small enough for a window."""
    size = max(extent[2] - extent[0], extent[3] - extent[1])
    return min(_halvings(size / LARGEST_EXTENT), coarsest(shape))


def coarsest(shape: tuple[int, int]) -> int:
    """Return the level on which a single window shows all of a frame (H, W)."""
    return _halvings(max(shape) / WINDOW_SIDE)


def extent_of(prompts: Prompts) -> tuple[float, float, float, float]:
    """Return row, col, row, col around all prompts."""
    corners = [prompts.points - 0.5, prompts.points + 0.5, *np.split(prompts.boxes, 2, axis=1)]
    if prompts.mask is not None:
        corners.append(np.reshape(Box.around(prompts.mask), (2, 2)))
    if prompts.outline is not None:
        corners.append(np.reshape(prompts.outline.box, (2, 2)))
    points = np.concatenate(corners)
    (top, left), (bottom, right) = points.min(0).tolist(), points.max(0).tolist()
    return top, left, bottom, right


def tiles_of(
    frames: Frames, region: Corners | None = None, side: int = WINDOW_SIDE
) -> list[Window]:
    """Return overlapping windows of level 0 that hold a region of a frame, or all of it.

    They begin at multiples of 64 pixels. A region gets some surroundings on all sides.
    """
    height, width = frames.shape
    corners = np.sort(np.reshape(region or (0, 0, height, width), (2, 2)), axis=0)
    (top, left), (bottom, right) = corners.tolist()
    return [
        Window(0, row, col, min(side, height - row), min(side, width - col))
        for row in _tile_starts(top, bottom, height, side)
        for col in _tile_starts(left, right, width, side)
    ]


def prompts_on_window(prompts: Prompts, window: Window) -> Prompts:
    """Return prompts of a frame in pixels of a window; points outside are left out."""
    points = window.points(prompts.points)
    is_inside = ((points >= -0.5) & (points <= np.array(window.shape) - 0.5)).all(1)
    boxes = window.points(prompts.boxes.reshape(-1, 2)).reshape(-1, 4)
    outline = prompts.outline if prompts.mask is None else Mask.of(prompts.mask)
    mask = None if outline is None else mask_on_window(outline, window)
    return Prompts(points[is_inside], prompts.positive[is_inside], boxes, mask)


def mask_on_window(mask: Mask, window: Window) -> NDArray[np.bool_]:
    """Return a mask of a frame on a window, (h, w): pixels of the level that it fills by half."""
    if not window.level:
        return mask.within(window.box(mask.shape))
    pixels = np.zeros(window.shape, bool)
    shared = mask.box.intersection(window.box(mask.shape))
    if shared.is_empty:
        return pixels
    shares = _pixel_shares(mask.within(shared), (shared.top, shared.left), window.scale)
    top = shared.top // window.scale - window.top
    left = shared.left // window.scale - window.left
    rows, cols = slice(top, top + shares.shape[0]), slice(left, left + shares.shape[1])
    pixels[rows, cols] = (shares > 0) & (shares >= min(0.5, shares.max()))
    return pixels


def mask_on_frame(mask: Mask, window: Window, shape: tuple[int, int]) -> Mask:
    """Return a mask of a window as a mask of its frame (H, W).

    Outlines from a coarser level are drawn smoothly through its pixels.
    """
    scale = window.scale
    top, left = (mask.box.top + window.top) * scale, (mask.box.left + window.left) * scale
    crop = mask.crop if scale == 1 else enlarged(mask.crop, scale)
    crop = crop[: shape[0] - top, : shape[1] - left]
    crop.setflags(write=False)
    box = Box(top, left, top + crop.shape[0], left + crop.shape[1])
    return replace(mask, crop=crop, box=box, shape=shape)


def masks_on_frame(
    hypotheses: Sequence[Mask], window: Window, shape: tuple[int, int]
) -> tuple[Mask, ...]:
    """Return mask hypotheses of a window as those of its frame (H, W), without empty space."""
    return tuple(mask_on_frame(mask.trimmed(), window, shape) for mask in hypotheses)


def enlarged(crop: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """Enlarge a mask (h, w) smoothly to (h x scale, w x scale), a few rows at a time."""
    if not crop.size:
        return np.zeros((0, 0), bool)
    wide = _interpolated(np.pad(crop, 1).astype(np.float32).T, scale)
    wide = wide.reshape(-1, wide.shape[-1]).T
    rows = [_interpolated(wide[row : row + 3], scale)[0] > 0.5 for row in range(len(crop))]
    return np.concatenate(rows)


def _visible_level(visible: Corners, shape: tuple[int, int]) -> int:
    """Return the level on which what is on the screen fits into two windows a side."""
    sides = [min(abs(visible[axis + 2] - visible[axis]), size) for axis, size in enumerate(shape)]
    return _halvings(max(sides) / (2 * WINDOW_SIDE))


def _coarsest_continued(frames: Frames) -> int:
    """Return the coarsest level on which a mask is continued."""
    stored = min(
        fine / coarse for fine, coarse in zip(frames.shape, frames.levels[-1], strict=True)
    )
    return min(round(np.log2(stored)) + COARSER_LEVELS, coarsest(frames.shape))


def _halvings(ratio: float) -> int:
    return max(int(np.ceil(np.log2(max(ratio, 1)))), 0)


def _window_start(first: float, last: float, size: int) -> int:
    """Return where a window begins that has an extent in its middle, on a side of this size."""
    step = STEP if last - first <= STEP else FINE_STEP
    start = round(((first + last) / 2 - WINDOW_SIDE / 2) / step) * step
    return min(max(start, 0), _latest_start(size, WINDOW_SIDE))


def _tile_starts(first: float, last: float, size: int, side: int) -> list[int]:
    """Return where tiles begin along one side of a frame."""
    begin, end = max(first - TILE_OVERLAP / 2, 0), min(last + TILE_OVERLAP / 2, size)
    latest = _latest_start(size, side)
    if end - begin <= side - FINE_STEP or size <= side:
        middle = round((begin + end - side) / 2 / FINE_STEP) * FINE_STEP
        return [min(max(middle, 0), latest)]
    start = int(begin) // FINE_STEP * FINE_STEP
    stop = min(-(-int(np.ceil(end) - side) // FINE_STEP) * FINE_STEP, latest)
    return [*range(start, stop, side - TILE_OVERLAP), stop]


def _latest_start(size: int, side: int) -> int:
    """Return where the last window or tile of a side of this size begins."""
    return -(-max(size - side, 0) // FINE_STEP) * FINE_STEP


def _interpolated(values: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Interpolate between n + 2 rows (n + 2, w): n times as many as the scale, (n, scale, w)."""
    steps = ((np.arange(scale, dtype=np.float32) + 0.5) / scale - 0.5)[:, None]
    middle = values[1:-1, None]
    before, after = middle - values[:-2, None], values[2:, None] - middle
    return np.asarray(middle + np.where(steps < 0, before, after) * steps, np.float32)


def _pixel_shares(
    crop: NDArray[np.bool_], corner: tuple[int, int], scale: int
) -> NDArray[np.float64]:
    """Return the share of each pixel of a level that a mask fills, which begins at a corner."""
    counts = crop
    for axis, (first, size) in enumerate(zip(corner, crop.shape, strict=True)):
        starts = np.arange(-(first % scale), size, scale)
        counts = np.add.reduceat(counts, np.maximum(starts, 0), axis, dtype=np.int64)
    return counts / scale**2

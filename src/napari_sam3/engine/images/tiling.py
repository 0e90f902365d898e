"""Choosing the window through which a model looks at a part of a large frame.

A window shows what is prompted with surroundings on all sides, so that a mask does not depend on
where the window happens to begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...values import Box, Corners, Mask, Prompts
from .frames import Frames
from .windows import Window, level_shape

SIDE = 1024
"""Rows and columns of a window, with its surroundings, in pixels of its level."""
MARGIN = SIDE // 4
"""What is prompted is at least so far from the sides of the window that cut the frame."""
STEP = SIDE // 4
"""Windows around small things begin at multiples of this, so that neighbours share one."""
FINE_STEP = SIDE // 16
"""Those around larger things begin at multiples of this, which is a whole cell of any network."""
FILLED = SIDE - 2 * MARGIN - FINE_STEP
"""What is larger than this, in pixels of a level, is looked at on the next coarser one."""
CLOSE = SIDE // 16
"""A click that is at least so far from the sides of a window known already is asked there."""
CUT = 8
"""A mask that comes so near to a side of its window, in pixels of the level, may go on beyond."""
SHRUNK = 2
"""How many levels coarser than the coarsest stored one a mask is continued: each further one
reads four times as many pixels."""


def window_for(prompts: Prompts, shape: tuple[int, int], visible: Corners | None = None) -> Window:
    """Choose the window of a frame (H, W) for prompts.

    Boxes and outlines tell how large the object is. Clicks do not: they are looked at as closely
    as the user does who sees this much of the frame, or else at level 0.
    """
    extent = extent_of(prompts)
    level = level_for(extent, shape)
    if visible is not None and not prompts.has_mask and not len(prompts.boxes):
        level = max(level, min(_level_seen(visible, shape), coarsest(shape)))
    return window_around(extent, level, shape)


def propagation_windows(masks: Iterable[Mask], current: Mapping[int, Window]) -> dict[int, Window]:
    """Choose the windows in which objects are looked for next, by their ids; few serve many.

    An object stays in its current window while it is far enough from the sides. Half the margin
    that a new one leaves is enough, so that no object goes to and fro between two.
    """
    known = dict.fromkeys(current.values())
    chosen: dict[int, Window] = {}
    for mask in masks:
        window = current.get(mask.object_id)
        if window is None or not window.frees(mask.box, mask.shape, MARGIN // 2):
            own = window_around(mask.box, level_for(mask.box, mask.shape), mask.shape)
            window = shared_window(own, mask.box, known, mask.shape)
        chosen[mask.object_id] = window
        known[window] = None
    return chosen


def shared_window(
    window: Window, extent: Sequence[float], known: Iterable[Window], shape: tuple[int, int]
) -> Window:
    """Return a known window that shows something as well as its own one does, or its own."""
    for one in known:
        if one.level == window.level and one.frees(extent, shape, MARGIN):
            return one
    return window


def wider_window(window: Window, box: Box, frames: Frames) -> Window | None:
    """Choose a coarser window for a mask that this one cuts, if it does and there is one.

    Parameters
    ----------
    window : Window
        Where the mask was made.
    box : (row, col, row, col)
        Where it is, in pixels of the frame.
    frames : Frames
        The stack.
    """
    if window.frees(box, frames.shape, CUT) or window.level >= _reachable(frames):
        return None
    return window_around(box, window.level + 1, frames.shape)


def window_around(extent: Sequence[float], level: int, shape: tuple[int, int]) -> Window:
    """Put a window of a level around something of a frame (H, W), given as row, col, row, col."""
    sizes = level_shape(shape, level)
    starts = [
        _start(extent[axis] / 2**level, extent[axis + 2] / 2**level, sizes[axis]) for axis in (0, 1)
    ]
    height, width = (min(SIDE, size - start) for start, size in zip(starts, sizes, strict=True))
    return Window(level, starts[0], starts[1], height, width)


def level_for(extent: Sequence[float], shape: tuple[int, int]) -> int:
    """Return the finest level on which something is small enough for a window."""
    size = max(extent[2] - extent[0], extent[3] - extent[1])
    return min(_halvings(size / FILLED), coarsest(shape))


def coarsest(shape: tuple[int, int]) -> int:
    """Return the level on which a single window shows all of a frame (H, W)."""
    return _halvings(max(shape) / SIDE)


def extent_of(prompts: Prompts) -> tuple[float, float, float, float]:
    """Return row, col, row, col around all that was said."""
    corners = [prompts.points - 0.5, prompts.points + 0.5, *np.split(prompts.boxes, 2, axis=1)]
    if prompts.mask is not None:
        corners.append(np.reshape(Box.around(prompts.mask), (2, 2)))
    if prompts.outline is not None:
        corners.append(np.reshape(prompts.outline.box, (2, 2)))
    places = np.concatenate(corners)
    (top, left), (bottom, right) = places.min(0).tolist(), places.max(0).tolist()
    return top, left, bottom, right


def _level_seen(visible: Corners, shape: tuple[int, int]) -> int:
    """Return the level on which what is on the screen fits into two windows a side."""
    sides = [min(abs(visible[axis + 2] - visible[axis]), size) for axis, size in enumerate(shape)]
    return _halvings(max(sides) / (2 * SIDE))


def _reachable(frames: Frames) -> int:
    stored = min(
        fine / coarse for fine, coarse in zip(frames.shape, frames.levels[-1], strict=True)
    )
    return min(round(np.log2(stored)) + SHRUNK, coarsest(frames.shape))


def _halvings(ratio: float) -> int:
    return max(int(np.ceil(np.log2(max(ratio, 1)))), 0)


def _start(first: float, last: float, size: int) -> int:
    """Return where a window begins that has something in its middle, on a side of this size."""
    step = STEP if last - first <= STEP else FINE_STEP
    start = round(((first + last) / 2 - SIDE / 2) / step) * step
    latest = -(-max(size - SIDE, 0) // FINE_STEP) * FINE_STEP
    return min(max(start, 0), latest)


def prompts_in(prompts: Prompts, window: Window) -> Prompts:
    """Say in a window what was said about a frame; points outside are left out."""
    points = window.points(prompts.points)
    inside = ((points >= -0.5) & (points <= np.array(window.shape) - 0.5)).all(1)
    boxes = window.points(prompts.boxes.reshape(-1, 2)).reshape(-1, 4)
    outline = prompts.outline if prompts.mask is None else Mask.of(prompts.mask)
    mask = None if outline is None else mask_in(outline, window)
    return Prompts(points[inside], prompts.positive[inside], boxes, mask)


def mask_in(mask: Mask, window: Window) -> NDArray[np.bool_]:
    """Show a mask of a frame in a window, (h, w): pixels of the level of which it covers half."""
    seen = np.zeros(window.shape, bool)
    if not window.level:
        return mask.within(window.box(mask.shape))
    shared = mask.box.intersection(window.box(mask.shape))
    if shared.is_empty:
        return seen
    part = mask.within(shared)
    shares = _shares(part, (shared.top, shared.left), window.scale)
    first_row = shared.top // window.scale - window.top
    first_col = shared.left // window.scale - window.left
    rows = slice(first_row, first_row + shares.shape[0])
    cols = slice(first_col, first_col + shares.shape[1])
    seen[rows, cols] = (shares > 0) & (shares >= min(0.5, shares.max()))
    return seen


def on_frame(hypothesis: Mask, window: Window, shape: tuple[int, int]) -> Mask:
    """Turn a reading of a window into one of its frame (H, W).

    Outlines from a coarser level are drawn smoothly through its pixels.
    """
    scale = window.scale
    top, left = (
        (hypothesis.box.top + window.top) * scale,
        (hypothesis.box.left + window.left) * scale,
    )
    crop = hypothesis.crop if scale == 1 else enlarged(hypothesis.crop, scale)
    crop = crop[: shape[0] - top, : shape[1] - left]
    crop.setflags(write=False)
    box = Box(top, left, top + crop.shape[0], left + crop.shape[1])
    return replace(hypothesis, crop=crop, box=box, shape=shape)


def placed(hypotheses: Sequence[Mask], window: Window, shape: tuple[int, int]) -> tuple[Mask, ...]:
    """Turn readings (h, w) of a window into those of its frame (H, W), without empty space."""
    return tuple(on_frame(hypothesis.trimmed(), window, shape) for hypothesis in hypotheses)


def enlarged(crop: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """Enlarge a mask (h, w) smoothly to (h x scale, w x scale), a few rows at a time."""
    if not crop.size:
        return np.zeros((0, 0), bool)
    wide = _between(np.pad(crop, 1).astype(np.float32).T, scale)
    wide = wide.reshape(-1, wide.shape[-1]).T
    rows = [_between(wide[row : row + 3], scale)[0] > 0.5 for row in range(len(crop))]
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

"""Drawing prompts into the maps that the decoder of the embedded network reads.

All coordinates are (row, col) in pixels of the crop, pixel centres at integers. The maps have
half the crop's resolution: cell i covers pixels 2i and 2i + 1, its centre is at 2i + 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIDE = 56
"""Rows and columns of a map: half the crop."""
NARROW, WIDE = 2.5, 12.0
"""Radii of the two spots drawn for a click, in pixels."""

Maps = npt.NDArray[np.float32]
_CENTRES = np.arange(SIDE, dtype=np.float32) * 2 + 0.5


def render(
    points: Sequence[tuple[float, float]] = (),
    positive: Sequence[bool] = (),
    box: tuple[float, float, float, float] | None = None,
    previous_logits: npt.NDArray[np.floating] | None = None,
    mask: npt.NDArray[np.bool_ | np.floating] | None = None,
) -> Maps:
    """Draw all prompts on one crop.

    Parameters
    ----------
    points : clicks, (row, col).
    positive : for every click, whether it lies inside the object.
    box : row0, col0, row1, col1 of its edges: around pixels 3..7 they are 2.5 and 7.5.
    previous_logits : (56, 56) the reading that these prompts correct.
    mask : (112, 112) the object, or a guess at it, on the pixels of the crop.

    Returns
    -------
    (7, 56, 56): clicks inside narrow, wide; outside narrow, wide; box; correction; mask.
    """
    maps = np.zeros((7, SIDE, SIDE), np.float32)
    for point, inside in zip(points, positive, strict=True):
        add_click(maps, point, inside)
    if box is not None:
        maps[4] = _box(box)
    if previous_logits is not None:
        maps[5] = np.tanh(previous_logits / 4)
    if mask is not None:
        maps[6] = halved(mask) * 2 - 1
    return maps


def add_click(maps: Maps, point: tuple[float, float], inside: bool) -> None:
    """Draw one more click into `maps`, in place."""
    row, col = point
    squared = (_CENTRES[:, None] - row) ** 2 + (_CENTRES - col) ** 2
    first = 0 if inside else 2
    for plane, radius in zip(maps[first : first + 2], (NARROW, WIDE), strict=True):
        np.maximum(plane, np.exp(-squared / (2 * radius**2)), out=plane)


def halved(mask: npt.NDArray[np.bool_ | np.floating]) -> npt.NDArray[np.float32]:
    """Average `mask` over 2 x 2 pixels."""
    rows, cols = mask.shape
    blocks = mask.astype(np.float32).reshape(rows // 2, 2, cols // 2, 2)
    return blocks.mean((1, 3), dtype=np.float32)


def _box(box: tuple[float, float, float, float]) -> npt.NDArray[np.float32]:
    row0, col0, row1, col1 = box
    rows = _soft_inside(row0, row1)
    cols = _soft_inside(col0, col1)
    return np.asarray(rows[:, None] * cols, np.float32)


def _soft_inside(start: float, stop: float) -> npt.NDArray[np.float32]:
    depth = np.clip(np.minimum(_CENTRES - start, stop - _CENTRES), -8, 8)
    return np.asarray(1 / (1 + np.exp(-depth)), np.float32)

"""Drawing a guess at the size of the image, so that it obeys the prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..parts import Part, Span
from ..prompts import Prompts
from .prompt_maps import SIDE
from .questions import OUTSIDE, Guess

HOLE = 9
"""Holes of at most so many pixels of the level are filled."""
SURE = 2.0
"""The logit that a disobeyed click is raised or lowered to."""
REACH = 3.0
"""Radius of what is raised or lowered with it, in pixels of the level."""
_CENTRES = np.arange(SIDE) * 2 + 0.5


def draw_part(guess: Guess, prompts: Prompts, shape: tuple[int, int]) -> Part:
    """Return where on an image (H, W) the mask of a guess lies, and the mask there."""
    window, logits = guess.crop.spread(bend(guess, prompts), shape)
    mask = (logits > 0) & _allowed(prompts, window)
    clicks, positive = _clicks(prompts, window, shape)
    mask[tuple(clicks[positive].T)] = True
    mask[tuple(clicks[~positive].T)] = False
    mask = _meant(mask, clicks[positive], _regions(prompts, window))
    _fill(mask, HOLE / guess.crop.scale**2, clicks[~positive])
    return window, mask


def bend(guess: Guess, prompts: Prompts) -> NDArray[np.float32]:
    """Raise or lower the logits (56, 56) smoothly around clicks they disagree with."""
    logits = guess.logits
    signs = np.where(prompts.positive, 1.0, -1.0)
    for point, sign, value in zip(prompts.points, signs, guess.at(prompts.points), strict=True):
        if value * sign > 0 or value <= OUTSIDE:
            continue
        row, col = guess.crop.points(point[None])[0]
        squared = (_CENTRES[:, None] - row) ** 2 + (_CENTRES - col) ** 2
        bump = np.exp(-squared / (2 * REACH**2))
        logits = logits + ((SURE * sign - value) * bump).astype(np.float32)
    return logits


def _clicks(
    prompts: Prompts, window: Span, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the clicked pixels (N, 2) of a window, and which of them are positive."""
    pixels = np.clip(np.floor(prompts.points + 0.5), 0, np.array(shape) - 1).astype(np.int64)
    first = np.array([part.start for part in window])
    last = np.array([part.stop for part in window])
    inside = ((pixels >= first) & (pixels < last)).all(1)
    return (pixels - first)[inside], prompts.positive[inside]


def _allowed(prompts: Prompts, window: Span) -> NDArray[np.bool_]:
    """Return where a mask may be: in one of the boxes, if there are any."""
    boxes = [_in_box(box, window) for box in prompts.boxes]
    return np.any(boxes, axis=0) if boxes else np.ones(1, bool)


def _in_box(box: NDArray[np.float64], window: Span) -> NDArray[np.bool_]:
    rows, cols = (np.arange(part.start, part.stop) for part in window)
    row0, col0, row1, col1 = box
    in_rows, in_cols = (rows >= row0) & (rows <= row1), (cols >= col0) & (cols <= col1)
    return np.asarray(in_rows[:, None] & in_cols)


def _regions(prompts: Prompts, window: Span) -> list[NDArray[np.bool_]]:
    """Return the regions of a window each of which holds a piece of the object."""
    if prompts.mask is not None:
        return [prompts.mask[window]]
    if len(prompts.boxes):
        return [_in_box(box, window) for box in prompts.boxes]
    return [np.ones(1, bool)]


def _meant(
    mask: NDArray[np.bool_], clicks: NDArray[np.int64], regions: Sequence[NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Keep the pieces that were clicked; if none was, the largest piece in each region."""
    pieces, count = ndimage.label(mask)
    kept = np.zeros(count + 1, bool)
    kept[pieces[tuple(clicks.T)]] = True
    for region in [] if len(clicks) else regions:
        kept[np.bincount(pieces[region & mask], minlength=2).argmax()] = True
    kept[0] = False
    return np.asarray(kept[pieces])


def _fill(mask: NDArray[np.bool_], largest: float, clicks: NDArray[np.int64]) -> None:
    """Fill small holes, in place, but none that was clicked."""
    holes, count = ndimage.label(~mask)
    small = np.bincount(holes.ravel(), minlength=count + 1) <= largest
    rim = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]) if mask.size else 0
    small[rim] = False
    small[holes[tuple(clicks.T)]] = False
    small[0] = False
    mask |= small[holes]

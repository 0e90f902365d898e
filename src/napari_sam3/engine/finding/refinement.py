"""Refining the outline of a mask: smoother, without small holes and islands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SMOOTHEST = 5
"""The highest level of smoothness; 0 leaves a mask as it is."""
SPECK = 0.04
"""Per level, holes are filled and islands removed that are as large as this share of the mask."""
BLUR = 0.08
"""Per level, the width of the blur that rounds an outline, relative to the mask's thickness."""
LOWEST_CUT = 0.25
"""What blurring leaves less of is not part of the mask, even if its area shrinks."""

Sides = tuple[bool, bool, bool, bool]
"""Whether the mask goes on beyond the top, left, bottom and right of its crop."""
INSIDE: Sides = (False, False, False, False)


def refined(mask: NDArray[np.bool_], smoothness: int, goes_on: Sides = INSIDE) -> NDArray[np.bool_]:
    """Return a mask with a smoother outline, on the same crop.

    Holes of at most 4 % of the mask per level are filled, and islands of at most that size are
    removed. Then corners are rounded whose radius is small against the thickness of the mask, and
    what they lose is added along the rest of its outline. A crop never becomes empty, and its mask
    never leaves it.

    Parameters
    ----------
    mask : (h, w) bool
        The crop of a mask.
    smoothness : int
        0 for the raw mask to 5 for the smoothest one.
    goes_on : four bool
        Where the crop ends at the border of the image, so that nothing is rounded there.
    """
    if smoothness <= 0 or not mask.any():
        return mask
    speck = SPECK * smoothness * np.count_nonzero(mask)
    solid = without_islands(without_holes(mask, speck), speck)
    rounded = _rounded(solid, BLUR * smoothness * _thickness(solid), goes_on)
    return rounded if rounded.any() else solid


def without_holes(mask: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    """Fill the holes of a mask, (h, w), that have at most so many pixels."""
    gaps, count = ndimage.label(~_framed(mask, 1))
    if count < 2:
        return mask
    is_small = np.bincount(gaps.ravel()) <= largest
    is_small[gaps[0, 0]] = False
    return np.asarray(mask | is_small[gaps[1:-1, 1:-1]] & ~mask)


def without_islands(mask: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    """Remove the pieces of a mask, (h, w), that have at most so many pixels; the largest stays."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    is_kept = (sizes > largest) | (sizes == sizes.max())
    is_kept[0] = False
    return np.asarray(is_kept[pieces])


def _thickness(mask: NDArray[np.bool_]) -> float:
    """Return the radius of a disk, the width of a rod, and what is between in between."""
    padded = _framed(mask, 1)
    inner = padded[1:-1, :-2] & padded[1:-1, 2:] & padded[:-2, 1:-1] & padded[2:, 1:-1] & mask
    area = np.count_nonzero(mask)
    return 2 * area / (area - np.count_nonzero(inner))


def _rounded(mask: NDArray[np.bool_], blur: float, goes_on: Sides) -> NDArray[np.bool_]:
    """Blur a mask, (h, w), and cut it where its area stays, which rounds its corners."""
    margin = int(2 * blur) + 1
    whole = _framed(mask, margin, goes_on)
    soft = ndimage.gaussian_filter(whole.astype(np.float32), blur, mode="constant", truncate=2)
    last = soft.size - np.count_nonzero(whole)
    cut = max(float(np.partition(soft.ravel(), last)[last]), LOWEST_CUT)
    return np.asarray(soft[margin:-margin, margin:-margin] >= cut)


def _framed(mask: NDArray[np.bool_], margin: int, goes_on: Sides = INSIDE) -> NDArray[np.bool_]:
    """Put so many empty rows and columns around a mask, (h, w), or where it goes on, its last."""
    rows, cols = mask.shape
    framed = np.zeros((rows + 2 * margin, cols + 2 * margin), bool)
    framed[margin : margin + rows, margin : margin + cols] = mask
    top, left, bottom, right = goes_on
    if top:
        framed[:margin] = framed[margin]
    if bottom:
        framed[-margin:] = framed[-margin - 1]
    if left:
        framed[:, :margin] = framed[:, margin, None]
    if right:
        framed[:, -margin:] = framed[:, -margin - 1, None]
    return framed

"""Pictures of candidates, as a text model looks at them one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..finding.concepts import Candidates

MARGIN = 1.3
"""A picture is so many times as wide and high as the longer side of its candidate."""
SMALLEST = 24
"""It has at least so many pixels along each side; smaller ones are nothing but blur."""
FADED = 0.5
"""How much of what lies around a candidate gives way to its mean colour."""


def pictures_of(
    image: NDArray[np.float32], candidates: Candidates, positions: Sequence[int]
) -> Iterator[NDArray[np.float32]]:
    """Yield a square picture (S, S, 3) of some candidates of an image (H, W, 3), both in 0..1.

    What surrounds a candidate is faded, neither kept nor erased: in a dense field its neighbours
    would speak for it, and a bare silhouette is nothing that a model has seen a caption for.
    """
    for position in positions:
        yield _picture(image, candidates.boxes[position], candidates.masks[position])


def _picture(
    image: NDArray[np.float32], box: NDArray[np.int64], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    side = max(SMALLEST, round(MARGIN * float((box[2:] - box[:2]).max())))
    rows = _span(int(box[0] + box[2]) // 2, side, image.shape[0])
    cols = _span(int(box[1] + box[3]) // 2, side, image.shape[1])
    picture = image[rows.start : rows.stop, cols.start : cols.stop].copy()
    inside = np.zeros(picture.shape[:2], bool)
    top, left = box[0] - rows.start, box[1] - cols.start
    inside[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    outside = picture[~inside]
    if len(outside):
        picture[~inside] += FADED * (outside.mean(axis=0) - outside)
    return _squared(picture, side)


def _span(centre: int, side: int, size: int) -> range:
    """Return so many pixels around a centre, moved into an image of this size."""
    first = max(0, min(centre - side // 2, size - side))
    return range(first, min(first + side, size))


def _squared(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Repeat the border of a picture where the image is smaller than it should be."""
    missing = [side - size for size in picture.shape[:2]]
    if not any(missing):
        return picture
    around = [(count // 2, count - count // 2) for count in missing]
    return np.pad(picture, [*around, (0, 0)], mode="edge")

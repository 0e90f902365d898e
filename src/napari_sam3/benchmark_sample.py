"""Frames to measure on, made from the sample of dividing cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .samples import Sample


def enlarged(sample: Sample, side: int, frames: int) -> Sample:
    """Continue the first frames of a sample as in a mirror, to squares of this side."""
    rows, cols = sample.image.shape[1:]
    missing = ((0, 0), (0, side - rows), (0, side - cols))
    image, labels = (
        np.pad(stack[:frames], missing, "symmetric") for stack in (sample.image, sample.labels)
    )
    return Sample(image, labels)


def points_inside(labels: NDArray[np.uint16], count: int) -> NDArray[np.int64]:
    """Choose points, (count, 2) as row, col, on the objects of a frame (H, W)."""
    inside = np.argwhere(labels > 0)
    return np.random.default_rng(0).choice(inside, count)

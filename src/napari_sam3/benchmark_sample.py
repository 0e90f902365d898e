"""Images to measure on, made from the sample of dividing cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .samples import Sample, dividing_cells

SIDE = 1024  # pixels of the square image that one model is asked about
CLICKS = 5  # for every repetition


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a model is asked about."""

    image: NDArray[np.float32]  # (H, W, 3) in 0..1
    points: NDArray[np.int64]  # (N, 2) row, col on objects
    masks: list[NDArray[np.bool_]]  # (H, W) of the objects that are followed
    repeat: int


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


def scene(repeat: int, objects: int) -> Scene:
    """Show dividing cells, and choose some of them."""
    sample = enlarged(dividing_cells(), SIDE, 1)
    grey = sample.image[0].astype(np.float32)
    image = np.repeat((grey / grey.max())[..., None], 3, axis=-1)
    labels = sample.labels[0]
    points = points_inside(labels, CLICKS * repeat + 1)
    numbers = [number for number in np.unique(labels) if number > 0]
    masks = [labels == numbers[n % len(numbers)] for n in range(objects)]
    return Scene(image, points, masks, repeat)

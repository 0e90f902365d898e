"""Writes the movie that all contenders see, with what is clicked on it."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from contest import CLICKS, MOVIE, OBJECTS
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam3.samples import Sample, dividing_cells

SEED = 0


def main() -> None:
    """Write a movie as asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--objects", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=20, help="on every frame")
    parser.add_argument("--side", type=int, default=1024, help="of the square frames, pixels")
    asked = parser.parse_args()
    write(asked.folder, (asked.frames, asked.side, asked.side), asked.objects, asked.clicks)


def write(folder: Path, shape: tuple[int, int, int], objects: int, clicks: int) -> None:
    """Write a movie (F, H, W) of dividing cells, the same in every run.

    The sample is played forward and backward as often as needed. Frames larger than it continue
    it as in a mirror; what is clicked lies in its corner, where the cells move as they did.
    """
    sample, order = dividing_cells(), there_and_back(shape[0])
    rng = np.random.default_rng(SEED)
    movie = np.lib.format.open_memmap(folder / MOVIE, "w+", np.uint16, shape)
    for frame, source in enumerate(order):
        movie[frame] = fitted(sample.image[source], shape[1:])
    movie.flush()
    inside = [np.argwhere(sample.labels[source, : shape[1], : shape[2]]) for source in order]
    np.save(folder / CLICKS, np.stack([rng.choice(one, clicks + 1) for one in inside]))
    np.save(folder / OBJECTS, middles(sample, shape[1:], objects))


def there_and_back(frames: int) -> list[int]:
    """Return which frame of the sample every frame of a movie shows."""
    last = len(dividing_cells().image) - 1
    return [last - abs(frame % (2 * last) - last) for frame in range(frames)]


def fitted(image: NDArray[np.uint16], shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Cut an image (h, w) to rows and columns (H, W), or continue it as in a mirror."""
    cut = image[: shape[0], : shape[1]]
    missing = [(0, side - have) for side, have in zip(shape, cut.shape, strict=True)]
    return np.pad(cut, missing, "symmetric")


def middles(sample: Sample, shape: tuple[int, ...], count: int) -> NDArray[np.int64]:
    """Choose objects of the first frame that stay long, and return the middle of each, (N, 2).

    If there are too few, they are chosen once more.
    """
    labels = sample.labels[:, : shape[0], : shape[1]]
    numbers = np.unique(labels[0][labels[0] > 0])
    stays = {number: int((labels == number).any((1, 2)).sum()) for number in numbers}
    chosen = sorted(numbers, key=lambda number: -stays[number])
    deep = [_deepest(labels[0] == chosen[n % len(chosen)]) for n in range(count)]
    return np.stack(deep)


def _deepest(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    depth = ndimage.distance_transform_edt(mask)
    return np.array(np.unravel_index(depth.argmax(), depth.shape), np.int64)


if __name__ == "__main__":
    main()

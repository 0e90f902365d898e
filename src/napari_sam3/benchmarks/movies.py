"""Movies of dividing cells, and the prompts on them, that all benchmarks measure with."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..samples import Sample, dividing_cells

MOVIE, CLICKS, OBJECTS = "movie.npy", "clicks.npy", "objects.npy"
"""Files in the folder of a movie: its frames, and the prompts on them."""
SEED = 0
SIDE = 1024  # pixels of the square image of a scene
CLICKS_PER_REPETITION = 5
FRAMES_PER_REPETITION = 2  # to which objects are propagated


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An image, and the prompts on it."""

    image: NDArray[np.float32]  # (H, W, 3) in 0..1
    points: NDArray[np.int64]  # (N, 2) row, col on objects
    masks: list[NDArray[np.bool_]]  # (H, W) of the objects that are propagated
    repeat: int


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A movie, and the prompts on it."""

    movie: NDArray[np.uint16]  # (F, H, W), read from the disk frame by frame
    clicks: NDArray[np.int64]  # (F, N, 2) row, col on objects of every frame
    objects: NDArray[np.int64]  # (K, 2) row, col on the objects of the first frame to propagate
    folder: Path  # where a contender may keep files

    @classmethod
    def read(cls, arguments: argparse.Namespace) -> Task:
        """Read the first frames of a movie that `write_movie` has written."""
        source = Path(arguments.movie)
        movie = np.load(source / MOVIE, mmap_mode="r")[: arguments.frames]
        clicks, objects = np.load(source / CLICKS), np.load(source / OBJECTS)
        return cls(movie, clicks[: arguments.frames], objects, Path(arguments.folder))

    @property
    def last(self) -> int:
        """The frame that is clicked on: the one that is encoded last."""
        return len(self.movie) - 1

    def image(self, frame: int) -> NDArray[np.float32]:
        """Return a frame in grey, (H, W, 3) in 0..1."""
        return grey_image(self.movie[frame])


def scene(repeat: int, objects: int) -> Scene:
    """Return an image of dividing cells, with some of them to propagate."""
    sample = enlarged(dividing_cells(), SIDE, 1)
    labels = sample.labels[0]
    points = points_inside(labels, CLICKS_PER_REPETITION * repeat + 1)
    numbers = [number for number in np.unique(labels) if number > 0]
    masks = [labels == numbers[n % len(numbers)] for n in range(objects)]
    return Scene(grey_image(sample.image[0]), points, masks, repeat)


def write_movie(folder: Path, shape: tuple[int, int, int], objects: int, clicks: int) -> None:
    """Write a movie (F, H, W) of dividing cells, the same in every run.

    The sample is played forward and backward as often as needed. Frames larger than it are
    mirrored; the prompts lie in its corner, where the cells move as they did.
    """
    sample, order = dividing_cells(), back_and_forth(shape[0])
    rng = np.random.default_rng(SEED)
    movie = np.lib.format.open_memmap(folder / MOVIE, "w+", np.uint16, shape)
    for frame, source in enumerate(order):
        movie[frame] = fitted(sample.image[source], shape[1:])
    movie.flush()
    inside = [np.argwhere(sample.labels[source, : shape[1], : shape[2]]) for source in order]
    np.save(folder / CLICKS, np.stack([rng.choice(pixels, clicks + 1) for pixels in inside]))
    np.save(folder / OBJECTS, object_centres(sample, shape[1:], objects))


def back_and_forth(frames: int) -> list[int]:
    """Return which frame of the sample each frame of a movie shows."""
    last = len(dividing_cells().image) - 1
    return [last - abs(frame % (2 * last) - last) for frame in range(frames)]


def enlarged(sample: Sample, side: int, frames: int) -> Sample:
    """Mirror the first frames of a sample to squares of this side."""
    image, labels = (
        np.stack([fitted(frame, (side, side)) for frame in stack[:frames]])
        for stack in (sample.image, sample.labels)
    )
    return Sample(image, labels)


def fitted(image: NDArray[np.uint16], shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Cut an image (h, w) to rows and columns (H, W), or mirror it where it is too small."""
    cut = image[: shape[0], : shape[1]]
    missing = [(0, side - have) for side, have in zip(shape, cut.shape, strict=True)]
    return np.pad(cut, missing, "symmetric")


def grey_image(frame: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return a frame (H, W) as an image, (H, W, 3) in 0..1."""
    grey = frame.astype(np.float32)
    return np.repeat((grey / grey.max())[..., None], 3, axis=-1)


def points_inside(labels: NDArray[np.uint16], count: int) -> NDArray[np.int64]:
    """Draw points, (count, 2) as row, col, on the objects of a frame (H, W)."""
    inside = np.argwhere(labels > 0)
    return np.random.default_rng(SEED).choice(inside, count)


def object_centres(sample: Sample, shape: tuple[int, ...], count: int) -> NDArray[np.int64]:
    """Return centres, (N, 2), of objects of the first frame, those that stay longest first.

    If there are too few, they are repeated.
    """
    labels = sample.labels[:, : shape[0], : shape[1]]
    numbers = np.unique(labels[0][labels[0] > 0])
    lifetimes = {number: int((labels == number).any((1, 2)).sum()) for number in numbers}
    ordered = sorted(numbers, key=lambda number: -lifetimes[number])
    return np.stack([_innermost(labels[0] == ordered[n % len(ordered)]) for n in range(count)])


def _innermost(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    depth = ndimage.distance_transform_edt(mask)
    return np.array(np.unravel_index(depth.argmax(), depth.shape), np.int64)


def main() -> None:
    """Write a movie as the command line says."""
    parser = argparse.ArgumentParser(description=write_movie.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--objects", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=20, help="on every frame")
    parser.add_argument("--side", type=int, default=1024, help="of the square frames, pixels")
    options = parser.parse_args()
    shape = (options.frames, options.side, options.side)
    write_movie(options.folder, shape, options.objects, options.clicks)


if __name__ == "__main__":
    main()

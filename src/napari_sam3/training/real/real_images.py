"""Frame pairs from folders of real pictures with labels.

A folder holds `images/NAME` and `labels/NAME`, PNG or TIFF, 0 being background; or it holds several
such folders, one for each source. Labels may have another suffix than their picture. Labels of
(T, H, W) are those of a movie or of the slices of a volume, in which an object has one number on
all frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.io import imread
from skimage.transform import resize

from ..label_images import numbered, relabelled, tidied
from ..labelled_images import partner
from ..shards import SIZE, Pair, packed
from ..synthetic.appearance import Picture
from ..synthetic.movies import Change, draw_change, flow
from ..synthetic.random_fields import blurred, log_uniform
from ..synthetic.scenes import Labels

SUFFIXES = (".png", ".tif", ".tiff")
SMALLEST = 10
"""Objects of fewer pixels on a crop are not learned."""
DIAMETERS = (10.0, 70.0)
"""Pixels across the middle-sized object of a picture, once it is in a shard."""
FEWEST = 64
"""A crop has at least so many pixels a side."""
FAR_APART = 0.3
"""Share of the pairs that leave out a frame between the two."""


def images_in(folder: Path) -> list[Path]:
    """List the pictures of a folder of images and labels, or of the folders in it.

    Raises
    ------
    FileNotFoundError
        If there are none, or if one has no labels.
    """
    images = sorted(
        path
        for pattern in ("images/*", "*/images/*")
        for path in folder.glob(pattern)
        if path.suffix.lower() in SUFFIXES
    )
    if not images:
        raise FileNotFoundError(f"No images/*.png or images/*.tif in {folder}. Check `real`.")
    for image in images:
        labels_of(image)  # now, and not after hours in which others were drawn
    return images


def labels_of(image: Path) -> Path:
    """Return the file with the labels of a picture."""
    folder = image.parents[1] / "labels"
    labels = partner(image, folder)
    if labels is None:
        raise FileNotFoundError(
            f"No labels for {image}: put {image.name}, or a file of that name with another suffix, "
            f"into {folder}, or take the picture away."
        )
    return labels


class RealPairs:
    """Cuts frame pairs out of labelled pictures.

    Attributes
    ----------
    shares : (N,) how often each picture is drawn; of many from one source, each less often.
    """

    def __init__(self, images: Sequence[Path]) -> None:
        self._images = images
        sources = [path.parents[1] for path in images]
        shares = np.array([sources.count(source) for source in sources]) ** -0.5
        self.shares = shares / shares.sum()

    def __call__(self, rng: np.random.Generator) -> Pair:
        """Draw a pair: a crop at a random scale, and the same on the next frame.

        Where there is no next frame, the crop is moved, bent and lit anew.
        """
        image, labels = self.drawn(rng)
        if labels.ndim == 2:
            picture, labels = cropped(rng, three_channels(image[None]), labels[None])
            labels = relabelled(labels[0], SMALLEST)
            first = packed(picture[0], labels, np.zeros_like(labels))
            return np.stack([first, next_frame(rng, picture[0], labels)])
        chosen = _two_frames(rng, len(labels))
        pictures, labels = cropped(rng, three_channels(image[chosen]), labels[chosen])
        labels = numbered(np.stack([tidied(frame, SMALLEST) for frame in labels]))
        return np.stack(
            [
                packed(picture, frame, np.zeros_like(frame))
                for picture, frame in zip(pictures, labels, strict=True)
            ]
        )

    def drawn(self, rng: np.random.Generator) -> tuple[npt.NDArray[Any], Labels]:
        """Read one of the pictures and its labels; of a stack, all frames."""
        path = self._images[int(rng.choice(len(self._images), p=self.shares))]
        return imread(path), imread(labels_of(path)).astype(np.int32)


def _two_frames(rng: np.random.Generator, count: int) -> list[int]:
    """Choose two frames that follow each other, in either direction, or nearly so."""
    step = min(2 if rng.random() < FAR_APART else 1, count - 1)
    first = int(rng.integers(count - step))
    frames = [first, first + step]
    return frames if rng.random() < 0.5 else frames[::-1]


def three_channels(frames: npt.NDArray[Any]) -> Picture:
    """Turn (T, H, W) or (T, H, W, C) into (T, 3, H, W), what is seen of it in 0..1."""
    coloured = frames[..., None] if frames.ndim == 3 else frames[..., :3]
    pictures = np.moveaxis(coloured, -1, 1)
    if pictures.shape[1] < 3:
        pictures = pictures[:, :1].repeat(3, 1)
    return _augmented_bytes(pictures) if frames.dtype == np.uint8 else _augmented(pictures)


def _augmented_bytes(pictures: npt.NDArray[np.uint8]) -> Picture:
    """Brighten bytes, whose 0 is black."""
    shares = pictures / np.float32(255)
    bright = np.percentile(shares, 99.9)
    return np.asarray(shares / max(bright, 0.02), np.float32)


def _augmented(pictures: npt.NDArray[Any]) -> Picture:
    """Spread what a camera or a program wrote, of which nobody knows the range, over 0..1."""
    values = pictures.astype(np.float32)
    dark, bright = np.percentile(values, (0.1, 99.9))
    return np.asarray(np.clip((values - dark) / (bright - dark or 1), 0, 1), np.float32)


def cropped(rng: np.random.Generator, pictures: Picture, labels: Labels) -> tuple[Picture, Labels]:
    """Cut a square with an object in it out of all frames, and bring it to the size of a shard."""
    shape = labels.shape[1:]
    numbers, areas = np.unique(labels[0], return_counts=True)
    number = rng.choice(numbers[numbers > 0]) if numbers.any() else 0
    diameter = np.sqrt(np.median(areas[numbers > 0])) if numbers.any() else min(shape)
    side = int(np.clip(SIZE * diameter / log_uniform(rng, *DIAMETERS), FEWEST, min(shape)))
    rows, cols = np.nonzero(labels[0] == number)
    chosen = int(rng.integers(len(rows)))
    corner = np.array((rows[chosen], cols[chosen])) - rng.integers(0, side, 2)
    row, col = np.clip(corner, 0, np.array(shape) - side)
    place = (slice(row, row + side), slice(col, col + side))
    size = (*pictures.shape[:2], SIZE, SIZE)
    sized = resize(pictures[:, :, *place], size, order=1, anti_aliasing=side > SIZE)
    grid = (np.indices((SIZE, SIZE)) + 0.5) * side / SIZE
    rows, cols = np.clip(grid.astype(int), 0, side - 1)
    return sized.astype(np.float32), labels[:, *place][:, rows, cols]


def next_frame(rng: np.random.Generator, picture: Picture, labels: Labels) -> npt.NDArray[np.uint8]:
    """Bend the picture as a whole, take some objects out of it and expose it anew."""
    change = draw_change(rng)
    if rng.random() < 0.5:
        picture, labels = _without_some(rng, picture, labels)
    if change == Change(0, 0, 0, 0, 0, 0, 0):
        return packed(_noisy(rng, picture), labels, np.zeros_like(labels))
    radius = max(4.0, float(np.sqrt((labels > 0).sum() / (labels.max() + 1) / np.pi)))
    source = flow(rng, SIZE, change, radius)
    moved = np.stack(
        [ndimage.map_coordinates(plane, source, order=1, mode="reflect") for plane in picture]
    )
    labels = ndimage.map_coordinates(labels, source, order=0, mode="constant")
    return packed(_noisy(rng, moved), labels, np.zeros_like(labels))


def _noisy(rng: np.random.Generator, picture: Picture) -> Picture:
    noise = rng.standard_normal(picture.shape[1:]) * log_uniform(rng, 0.002, 0.05)
    return np.asarray(picture * rng.uniform(0.8, 1.2) + noise, np.float32)


def _without_some(
    rng: np.random.Generator, picture: Picture, labels: Labels
) -> tuple[Picture, Labels]:
    """Paint a few objects over with the ground around them."""
    gone = rng.random(256) < rng.uniform(0, 0.25)
    gone[0] = False
    hidden = ndimage.binary_dilation(gone[labels], iterations=3) & ((labels == 0) | gone[labels])
    ground = (labels == 0) & ~hidden
    if not ground.any():
        return picture, labels
    nearest = ndimage.distance_transform_edt(~ground, return_distances=False, return_indices=True)
    filled = np.stack([blurred(plane[tuple(nearest)], 2) for plane in picture])
    grain = rng.standard_normal(hidden.shape) * (picture[:, ground].std() * 0.3)
    painted = np.where(hidden, filled + grain, picture)
    return painted.astype(np.float32), np.where(gone[labels], 0, labels).astype(np.int32)

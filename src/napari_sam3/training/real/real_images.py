"""Pairs and triplets of frames from folders of real images with labels.

A folder holds `images/NAME` and `labels/NAME`, PNG or TIFF, 0 being background; or it holds several
such folders, each of a source of its own. The suffixes of an image and its labels may differ.
Labels of (T, H, W) are those of a movie or of a volume, whose objects keep their number on all
frames.
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
from tifffile import TiffFile

from ..label_images import Labels, cleaned, numbered, relabelled
from ..shards import SIZE, Pair, Planes, Triplet, stacked_planes
from ..synthetic.appearance import RgbImage
from ..synthetic.movies import Change, draw_change, flow
from ..synthetic.random_fields import blurred, log_uniform
from .labelled_images import matching_file

SUFFIXES = (".png", ".tif", ".tiff")
MIN_AREA = 10
"""Objects of fewer pixels on a crop are left out."""
DIAMETERS = (10.0, 70.0)
"""Pixels across the median object of an image, as it is resized for a shard."""
MIN_CROP_SIDE = 64
"""Smallest side of a crop, in pixels."""
SKIPPED_SHARE = 0.3
"""Share of the pairs between whose frames a frame is skipped."""
MAX_DISTANCE = 8
"""Frames of a stack from the first to the previous frame, at most."""
STACK_WEIGHT = 8.0
"""How often a stack is drawn for a triplet, relative to a still."""


def image_paths(folder: Path) -> list[Path]:
    """List the images of a folder of images and labels, or of the folders in it.

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
        raise FileNotFoundError(
            f"No images/*.png or images/*.tif in {folder}. Check `real_images`."
        )
    for image in images:
        labels_path(image)  # raises now, and not after hours of training
    return images


def labels_path(image: Path) -> Path:
    """Return the file with the labels of an image."""
    folder = image.parents[1] / "labels"
    labels = matching_file(image, folder)
    if labels is None:
        raise FileNotFoundError(
            f"No labels for {image}: put {image.name}, or a file of that name with another suffix, "
            f"into {folder}, or remove the image."
        )
    return labels


class RealPairs:
    """Cuts pairs of frames out of labelled images.

    Attributes
    ----------
    shares : (N,) how often each image is drawn; less often if there are many of its source.
    """

    def __init__(self, images: Sequence[Path]) -> None:
        self._images = images
        sources = [path.parents[1] for path in images]
        shares = np.array([sources.count(source) for source in sources]) ** -0.5
        self.shares = shares / shares.sum()

    def __call__(self, rng: np.random.Generator) -> Pair:
        """Draw a pair: a crop at a random scale, and the same on the next frame.

        Where there is no next frame, the crop is moved, deformed and relit.
        """
        stack, labels = self.read_random(rng)
        if labels.ndim == 2:
            images, labels = random_crop(rng, rgb_frames(stack[None]), labels[None])
            labels = relabelled(labels[0], MIN_AREA)
            first = stacked_planes(images[0], labels, np.zeros_like(labels))
            return np.stack([first, next_frame(rng, images[0], labels)])
        return _stack_crop(rng, stack, labels, _two_frames(rng, len(labels)))

    def read_random(self, rng: np.random.Generator) -> tuple[npt.NDArray[Any], Labels]:
        """Draw an image and read it with its labels; of a stack, all frames."""
        path = self._images[int(rng.choice(len(self._images), p=self.shares))]
        return imread(path), imread(labels_path(path)).astype(np.int32)


class RealTriplets(RealPairs):
    """Cuts triplets of frames out of labelled images, more often of stacks than of stills."""

    def __init__(self, images: Sequence[Path]) -> None:
        super().__init__(images)
        weights = [STACK_WEIGHT if _is_stack(labels_path(path)) else 1.0 for path in images]
        shares = self.shares * weights
        self.shares = shares / shares.sum()

    def __call__(self, rng: np.random.Generator) -> Triplet:
        """Draw three frames of a stack, or a still that is moved, deformed and relit."""
        stack, labels = self.read_random(rng)
        if labels.ndim == 2:
            images, labels = random_crop(rng, rgb_frames(stack[None]), labels[None])
            first = stacked_planes(images[0], _cleaned_labels(labels)[0], np.zeros_like(labels[0]))
            previous = first if rng.random() < 0.4 else _next_planes(rng, first)
            return np.stack([first, previous, _next_planes(rng, previous)])
        return _stack_crop(rng, stack, labels, _three_frames(rng, len(labels)))


def _stack_crop(
    rng: np.random.Generator, stack: npt.NDArray[Any], labels: Labels, indices: list[int]
) -> npt.NDArray[np.uint8]:
    """Cut some frames out of a stack, (N, 6, 256, 256)."""
    images, labels = random_crop(rng, rgb_frames(stack[indices]), labels[indices])
    return np.stack(
        [
            stacked_planes(image, frame, np.zeros_like(frame))
            for image, frame in zip(images, _cleaned_labels(labels), strict=True)
        ]
    )


def _two_frames(rng: np.random.Generator, count: int) -> list[int]:
    """Draw two adjacent frames, or with a frame between them, in either direction."""
    step = min(2 if rng.random() < SKIPPED_SHARE else 1, count - 1)
    first = int(rng.integers(count - step))
    frames = [first, first + step]
    return frames if rng.random() < 0.5 else frames[::-1]


def _three_frames(rng: np.random.Generator, count: int) -> list[int]:
    """Draw a first frame, a previous frame some frames away, and the frame after that."""
    step = min(2 if rng.random() < 0.2 else 1, count - 1)
    distance = int(rng.integers(MAX_DISTANCE + 1)) if rng.random() < 0.7 else 0
    distance = min(distance, count - 1 - step)
    first = int(rng.integers(count - distance - step))
    if rng.random() < 0.5:
        return [first, first + distance, first + distance + step]
    return [first + distance + step, first + step, first]


def _is_stack(labels: Path) -> bool:
    if labels.suffix.lower() == ".png":
        return False
    with TiffFile(labels) as file:
        return file.series[0].ndim > 2


def _cleaned_labels(labels: Labels) -> Labels:
    return numbered(np.stack([cleaned(frame, MIN_AREA) for frame in labels]))


def _next_planes(rng: np.random.Generator, frame: Planes) -> Planes:
    """Make a next frame for the planes of a still."""
    image = np.asarray(frame[:3] / np.float32(255), np.float32)
    return next_frame(rng, image, frame[3].astype(np.int32))


def rgb_frames(frames: npt.NDArray[Any]) -> RgbImage:
    """Turn (T, H, W) or (T, H, W, C) into (T, 3, H, W), mostly in 0..1."""
    coloured = frames[..., None] if frames.ndim == 3 else frames[..., :3]
    images = np.moveaxis(coloured, -1, 1)
    if images.shape[1] < 3:
        images = images[:, :1].repeat(3, 1)
    return _scaled_bytes(images) if frames.dtype == np.uint8 else _scaled(images)


def _scaled_bytes(images: npt.NDArray[np.uint8]) -> RgbImage:
    """Brighten bytes, of which 0 is black."""
    shares = images / np.float32(255)
    bright = np.percentile(shares, 99.9)
    return np.asarray(shares / max(bright, 0.02), np.float32)


def _scaled(images: npt.NDArray[Any]) -> RgbImage:
    """Scale values of an unknown range to 0..1."""
    values = images.astype(np.float32)
    dark, bright = np.percentile(values, (0.1, 99.9))
    return np.asarray(np.clip((values - dark) / (bright - dark or 1), 0, 1), np.float32)


def random_crop(
    rng: np.random.Generator, images: RgbImage, labels: Labels
) -> tuple[RgbImage, Labels]:
    """Cut a square with an object in it out of all frames, and resize it for a shard."""
    shape = labels.shape[1:]
    numbers, areas = np.unique(labels[0], return_counts=True)
    number = rng.choice(numbers[numbers > 0]) if numbers.any() else 0
    diameter = np.sqrt(np.median(areas[numbers > 0])) if numbers.any() else min(shape)
    side = int(np.clip(SIZE * diameter / log_uniform(rng, *DIAMETERS), MIN_CROP_SIDE, min(shape)))
    rows, cols = np.nonzero(labels[0] == number)
    index = int(rng.integers(len(rows)))
    corner = np.array((rows[index], cols[index])) - rng.integers(0, side, 2)
    row, col = np.clip(corner, 0, np.array(shape) - side)
    box = (slice(row, row + side), slice(col, col + side))
    size = (*images.shape[:2], SIZE, SIZE)
    sized = resize(images[:, :, *box], size, order=1, anti_aliasing=side > SIZE)
    grid = (np.indices((SIZE, SIZE)) + 0.5) * side / SIZE
    rows, cols = np.clip(grid.astype(int), 0, side - 1)
    return sized.astype(np.float32), labels[:, *box][:, rows, cols]


def next_frame(rng: np.random.Generator, image: RgbImage, labels: Labels) -> Planes:
    """Deform an image as a whole, remove some objects, and change its brightness."""
    change = draw_change(rng)
    if rng.random() < 0.5:
        image, labels = _remove_objects(rng, image, labels)
    if change == Change(0, 0, 0, 0, 0, 0, 0):
        return stacked_planes(_with_noise(rng, image), labels, np.zeros_like(labels))
    radius = max(4.0, float(np.sqrt((labels > 0).sum() / (labels.max() + 1) / np.pi)))
    source = flow(rng, SIZE, change, radius)
    moved = np.stack(
        [ndimage.map_coordinates(plane, source, order=1, mode="reflect") for plane in image]
    )
    labels = ndimage.map_coordinates(labels, source, order=0, mode="constant")
    return stacked_planes(_with_noise(rng, moved), labels, np.zeros_like(labels))


def _with_noise(rng: np.random.Generator, image: RgbImage) -> RgbImage:
    noise = rng.standard_normal(image.shape[1:]) * log_uniform(rng, 0.002, 0.05)
    return np.asarray(image * rng.uniform(0.8, 1.2) + noise, np.float32)


def _remove_objects(
    rng: np.random.Generator, image: RgbImage, labels: Labels
) -> tuple[RgbImage, Labels]:
    """Paint over some objects with the background around them."""
    gone = rng.random(256) < rng.uniform(0, 0.25)
    gone[0] = False
    hidden = ndimage.binary_dilation(gone[labels], iterations=3) & ((labels == 0) | gone[labels])
    ground = (labels == 0) & ~hidden
    if not ground.any():
        return image, labels
    nearest = ndimage.distance_transform_edt(~ground, return_distances=False, return_indices=True)
    filled = np.stack([blurred(plane[tuple(nearest)], 2) for plane in image])
    grain = rng.standard_normal(hidden.shape) * (image[:, ground].std() * 0.3)
    painted = np.where(hidden, filled + grain, image)
    return painted.astype(np.float32), np.where(gone[labels], 0, labels).astype(np.int32)

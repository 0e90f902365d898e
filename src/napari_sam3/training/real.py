"""Frame pairs from a folder of real pictures with labels.

The folder holds `images/NAME.png` and `labels/NAME.png`, 0 being background.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.io import imread
from skimage.transform import resize

from napari_sam3.training.colours import Picture
from napari_sam3.training.labels import relabelled
from napari_sam3.training.movies import Change, draw_change, flow
from napari_sam3.training.noise import blurred, log_uniform
from napari_sam3.training.scenes import Labels
from napari_sam3.training.shards import SIZE, Pair, packed


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder of images and labels."""
    images = sorted((folder / "images").glob("*.png"))
    if not images:
        raise FileNotFoundError(f"No images/*.png in {folder}. Check `real` in the config.")
    return images


class RealPairs:
    """Cuts frame pairs out of labelled pictures."""

    def __init__(self, images: Sequence[Path]) -> None:
        self._images = images

    def __call__(self, rng: np.random.Generator) -> Pair:
        """Draw a pair: a crop at a random scale, then moved, bent and lit anew."""
        path = self._images[int(rng.integers(len(self._images)))]
        picture = _three_channels(imread(path))
        labels = imread(path.parents[1] / "labels" / path.name).astype(np.int32)
        picture, labels = _crop(rng, picture, labels)
        labels = relabelled(labels, smallest=10)
        return np.stack(
            [
                packed(picture, labels, np.zeros_like(labels)),
                _next_frame(rng, picture, labels),
            ]
        )


def _three_channels(image: npt.NDArray[np.uint8]) -> Picture:
    """Turn (H, W) or (H, W, C) bytes into red, green and blue, the whole range in 0..1."""
    picture = np.atleast_3d(image)[..., :3].transpose(2, 0, 1) / np.float32(255)
    if len(picture) == 1:
        picture = picture.repeat(3, 0)
    bright = np.percentile(picture, 99.9)
    return np.asarray(picture / max(bright, 0.02), np.float32)


def _crop(rng: np.random.Generator, picture: Picture, labels: Labels) -> tuple[Picture, Labels]:
    """Cut a square, wider or narrower, and bring it to the size of a shard."""
    side = int(SIZE / log_uniform(rng, 0.6, 2.5))
    side = min(side, *labels.shape)
    row, col = (rng.integers(0, length - side + 1) for length in labels.shape)
    place = (slice(row, row + side), slice(col, col + side))
    sized = resize(picture[:, *place], (3, SIZE, SIZE), order=1, anti_aliasing=side > SIZE)
    grid = (np.indices((SIZE, SIZE)) + 0.5) * side / SIZE
    rows, cols = np.clip(grid.astype(int), 0, side - 1)
    return sized.astype(np.float32), labels[place][rows, cols]


def _next_frame(
    rng: np.random.Generator, picture: Picture, labels: Labels
) -> npt.NDArray[np.uint8]:
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

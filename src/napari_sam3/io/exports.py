"""Files that other programs read: labels, a table of measurements, a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.color import label2rgb
from skimage.io import imread, imsave
from skimage.segmentation import find_boundaries
from skimage.util import montage
from tifffile import TiffFileError, imwrite
from tifffile import imread as tiffread

from ..values import FramesError, Mask
from .label_file import writing

COLUMNS = ("object", "frame", "score", "area", "row", "col")
TIFF = (".tif", ".tiff")


def read_image(path: Path) -> NDArray[Any]:
    """Read an image file as it is."""
    # scikit-image would take the frames of a TIFF for colours when there are 3 or 4 of them.
    read = tiffread if path.suffix.lower() in TIFF else imread
    try:
        return np.asarray(read(path))
    except (OSError, ValueError, SyntaxError, TiffFileError) as error:
        raise FramesError(
            f"{path} cannot be read as an image ({error}). Choose a tif, png or jpg."
        ) from error


def paint(labels: NDArray[np.uint16], mask: Mask) -> None:
    """Write a mask into labels, (F, H, W), where no other object is yet."""
    top, left, bottom, right = mask.box
    part = labels[mask.frame, top:bottom, left:right]
    part[mask.crop & (part == 0)] = mask.object_id


def write_labels(path: Path, labels: NDArray[np.uint16]) -> None:
    """Write labels, (H, W) or (F, H, W), as a TIFF."""
    with writing(path):
        imwrite(path, labels, photometric="minisblack", compression="zlib")


def write_overview(
    path: Path, image: NDArray[Any], labels: NDArray[np.uint16], frames: Sequence[int]
) -> None:
    """Write a picture of some frames with the outlines of their objects.

    Parameters
    ----------
    path : Path
        Where the picture goes; its name ends in .png.
    image : (F, H, W) array
        What was segmented.
    labels : (F, H, W) array
        What was found on it.
    frames : sequence of int
        The frames to show.
    """
    shown = list(frames)
    low, high = np.percentile(image[shown], (1, 99.8))
    grey = np.clip((image[shown] - low) / max(high - low, 1), 0, 1)
    doubled = [np.kron(frame, np.ones((2, 2), labels.dtype)) for frame in labels[shown]]
    outlines = [frame * find_boundaries(frame, mode="inner") for frame in doubled]
    columns = int(np.ceil(np.sqrt(len(shown))))
    grid = (int(np.ceil(len(shown) / columns)), columns)
    background = montage(grey, fill=0, grid_shape=grid).repeat(2, axis=0).repeat(2, axis=1)
    drawn = label2rgb(
        montage(outlines, fill=0, grid_shape=grid), background, alpha=1, bg_label=0, bg_color=None
    )
    with writing(path):
        imsave(path, (255 * drawn).astype(np.uint8), check_contrast=False)


class Measurements:
    """A table with a row for every mask, written as the masks come.

    Parameters
    ----------
    path : Path
        Where the table goes, as comma separated values: score is 0..1, area is in pixels, row
        and col are of the centre, in pixels.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path), path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)

    def add(self, mask: Mask) -> None:
        """Append the row of a mask."""
        row = (mask.object_id, mask.frame, f"{mask.score:.3f}", mask.area, *_centre(mask))
        with writing(self.path), self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)


def _centre(mask: Mask) -> tuple[str, str]:
    rows, cols = np.nonzero(mask.crop)
    if not len(rows):
        return "", ""
    return f"{rows.mean() + mask.box[0]:.2f}", f"{cols.mean() + mask.box[1]:.2f}"

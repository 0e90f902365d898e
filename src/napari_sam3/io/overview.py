"""An overview of some frames with the outlines of their objects, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.color import label2rgb
from skimage.io import imsave
from skimage.segmentation import find_boundaries
from skimage.util import montage

from ..storage import UNWRITABLE, storing_in, written_whole


def write_overview(
    path: Path, image: NDArray[Any], labels: NDArray[np.uint16], frames: Sequence[int]
) -> None:
    """Write some frames side by side, each with the outlines of its objects.

    Parameters
    ----------
    path : Path
        Where the overview is written; its name ends in .png.
    image : (F, H, W) array
        What was segmented.
    labels : (F, H, W) array
        The objects on it.
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
    with storing_in(path, errors=UNWRITABLE), written_whole(path) as draft:
        imsave(draft, (255 * drawn).astype(np.uint8), check_contrast=False)

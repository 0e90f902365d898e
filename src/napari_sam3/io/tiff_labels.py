"""Labels as a TIFF."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import imwrite

from ..storage import (
    TILE,
    UNWRITABLE,
    LabelPyramid,
    Labels,
    boxes_of_parts,
    storing_in,
    written_whole,
)
from ..values import is_large


def write_labels(path: Path, labels: NDArray[np.uint16]) -> None:
    """Write labels, (H, W) or (F, H, W), which replace an earlier file."""
    _write_tiff(path, labels)


def write_pyramid(path: Path, pyramid: LabelPyramid) -> None:
    """Write the finest level of labels part by part; of large frames the parts are tiles."""
    shape = pyramid.shape
    if is_large(shape):
        tile: tuple[int, int] | None = (TILE, TILE)
        parts = _parts(pyramid, (TILE, TILE))
    else:
        tile = None  # ImageJ reads no tiles
        parts = _parts(pyramid, (shape[-2], shape[-1]))
    _write_tiff(path, parts, shape=shape, dtype=pyramid.dtype, tile=tile)


def _write_tiff(path: Path, labels: Any, **layout: Any) -> None:
    with storing_in(path, errors=UNWRITABLE), written_whole(path) as draft:
        imwrite(draft, labels, photometric="minisblack", compression="zlib", **layout)


def _parts(pyramid: LabelPyramid, sides: tuple[int, int]) -> Iterator[Labels]:
    """Yield parts of these sides or less, in the order of a TIFF."""
    for frame_index in product(*map(range, pyramid.shape[:-2])):
        for box in boxes_of_parts(pyramid.shape, sides):
            yield pyramid.read(frame_index, box)

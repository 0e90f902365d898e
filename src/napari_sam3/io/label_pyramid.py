"""Labels on disk in tiles and at several sizes, of which a part is read and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from napari_sam3.engine import PixelBox

Labels = NDArray[np.uint16]

TILE = 512
"""Side of a chunk in pixels."""

SMALL = 2048
"""The last level has fewer rows and columns than this."""

VERSION = "0.5"
"""Of OME-Zarr."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelPyramid:
    """Labels of a stack, finest level first; every further one has half the rows and columns.

    A pixel of a level is the highest of the four labels under it, so that no object vanishes.
    """

    levels: tuple[zarr.Array[Any], ...]  # each (..., H, W) uint16

    @classmethod
    def create(cls, group: zarr.Group, shape: tuple[int, ...]) -> Self:
        """Make empty labels of this shape, rows and columns last, named 0, 1, ... in a group."""
        sides = level_sides((shape[-2], shape[-1]))
        levels = (
            _empty(group, str(level), (*shape[:-2], *plane)) for level, plane in enumerate(sides)
        )
        return cls(tuple(levels))

    def read(self, place: tuple[int, ...], box: PixelBox) -> Labels:
        """Read the pixels (h, w) in a box of the frame at a place."""
        return np.asarray(self.levels[0][_index(place, box)], np.uint16)

    def write(self, place: tuple[int, ...], box: PixelBox, labels: Labels) -> None:
        """Replace the pixels (h, w) in a box of the frame at a place, at every level."""
        self.levels[0][_index(place, box)] = labels
        for finer, coarser in zip(self.levels, self.levels[1:], strict=False):
            box = _halved_box(box)
            source = _clipped(tuple(2 * side for side in box), finer.shape)
            shrunk = halved(np.asarray(finer[_index(place, source)], np.uint16))
            coarser[_index(place, box)] = shrunk


def level_sides(plane: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Return rows and columns of every level of labels, (H, W) first."""
    yield plane
    while max(plane) >= SMALL:
        plane = (-(-plane[0] // 2), -(-plane[1] // 2))
        yield plane


def halved(labels: Labels) -> Labels:
    """Return labels (H, W) at half the size, rounded up: the highest of four stays."""
    rows, cols = labels.shape
    even = np.pad(labels, ((0, rows % 2), (0, cols % 2)))
    return even.reshape(-(-rows // 2), 2, -(-cols // 2), 2).max(axis=(1, 3))


def describe(group: zarr.Group, axes: str, levels: int, scale: tuple[float, ...]) -> None:
    """Tell in the words of OME-Zarr what the arrays of a group are.

    Parameters
    ----------
    group : zarr.Group
        Holds the arrays 0, 1, ...
    axes : str
        A letter for every axis, such as tzyx.
    levels : int
        How many arrays there are.
    scale : tuple of float
        Size of a pixel of the finest one along every axis.
    """
    kinds = {"t": "time", "c": "channel"}
    multiscale = {
        "axes": [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes],
        "datasets": [_dataset(level, scale) for level in range(levels)],
    }
    group.attrs["ome"] = {
        "version": VERSION,
        "multiscales": [multiscale],
        "image-label": {"version": VERSION},
    }


def _dataset(level: int, scale: tuple[float, ...]) -> dict[str, Any]:
    grown = (*scale[:-2], *(side * 2**level for side in scale[-2:]))
    moved = (*(0.0 for _ in scale[:-2]), *(side * (2**level - 1) / 2 for side in scale[-2:]))
    return {
        "path": str(level),
        "coordinateTransformations": [
            {"type": "scale", "scale": list(map(float, grown))},
            {"type": "translation", "translation": list(map(float, moved))},
        ],
    }


def _empty(group: zarr.Group, name: str, shape: tuple[int, ...]) -> zarr.Array[Any]:
    return group.create_array(
        name,
        shape=shape,
        chunks=(*(1 for _ in shape[:-2]), *(min(TILE, side) for side in shape[-2:])),
        dtype=np.uint16,
        fill_value=0,
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
    )


def _index(place: tuple[int, ...], box: PixelBox) -> tuple[int | slice, ...]:
    return (*place, slice(box[0], box[2]), slice(box[1], box[3]))


def _halved_box(box: PixelBox) -> PixelBox:
    """Return the pixels of the next level that touch a box."""
    return box[0] // 2, box[1] // 2, -(-box[2] // 2), -(-box[3] // 2)


def _clipped(box: tuple[int, ...], shape: tuple[int, ...]) -> PixelBox:
    return box[0], box[1], min(box[2], shape[-2]), min(box[3], shape[-1])

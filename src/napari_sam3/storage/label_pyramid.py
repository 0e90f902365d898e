"""Labels on disk in tiles and at several sizes, of which a part is read and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from ..values import WITHOUT_UNIT, Box, Geometry, named_unit

Labels = NDArray[Any]
"""Of uint16, or of uint32 where there are more objects than that holds."""

NARROW = np.dtype(np.uint16)
"""Holds the labels of 65 535 objects."""

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

    levels: tuple[zarr.Array[Any], ...]  # each (..., H, W) uint16 or uint32

    @classmethod
    def create(
        cls,
        group: zarr.Group,
        shape: tuple[int, ...],
        dtype: np.dtype[Any] = NARROW,
        axes: str | None = None,
    ) -> Self:
        """Make empty labels of this shape, rows and columns last, named 0, 1, ... in a group."""
        sides = level_sides((shape[-2], shape[-1]))
        levels = (
            _empty(group, (*shape[:-2], *plane), dtype, name=str(level), dimension_names=axes)
            for level, plane in enumerate(sides)
        )
        return cls(tuple(levels))

    @property
    def dtype(self) -> np.dtype[Any]:
        """What holds a label."""
        return np.dtype(self.levels[0].dtype)

    def read(self, place: tuple[int, ...], box: Box) -> Labels:
        """Read the pixels (h, w) in a box of the frame at a place."""
        return np.asarray(self.levels[0][_index(place, box)], self.dtype)

    def write(self, place: tuple[int, ...], box: Box, labels: Labels) -> None:
        """Replace the pixels (h, w) in a box of the frame at a place, at every level."""
        self.levels[0][_index(place, box)] = labels
        for finer, coarser in zip(self.levels, self.levels[1:], strict=False):
            box = _halved_box(box)
            source = _clipped(Box(*(2 * side for side in box)), finer.shape)
            shrunk = halved(np.asarray(finer[_index(place, source)], self.dtype))
            coarser[_index(place, box)] = shrunk


def type_of_labels(highest: int) -> np.dtype[Any]:
    """Return what holds labels up to the highest, uint16 where that suffices."""
    return np.promote_types(NARROW, np.min_scalar_type(highest))


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


def describe(group: zarr.Group, levels: int, geometry: Geometry) -> None:
    """Tell in the words of OME-Zarr what the arrays of a group are.

    Parameters
    ----------
    group : zarr.Group
        Holds the arrays 0, 1, ...
    levels : int
        How many arrays there are.
    geometry : Geometry
        Axes of all, and where the pixels of the finest lie.
    """
    multiscale = {
        "axes": list(map(_axis, geometry.axes, geometry.units)),
        "datasets": [_dataset(level, geometry) for level in range(levels)],
    }
    group.attrs["ome"] = {
        "version": VERSION,
        "multiscales": [multiscale],
        "image-label": {"version": VERSION},
    }


def _axis(name: str, unit: str) -> dict[str, str]:
    axis = {"name": name, "type": {"t": "time", "c": "channel"}.get(name, "space")}
    if unit in WITHOUT_UNIT:
        return axis
    return axis | {"unit": named_unit(unit) or unit}


def _dataset(level: int, geometry: Geometry) -> dict[str, Any]:
    """Tell of a level; the centre of its first pixel is in the middle of those it was made of."""
    scale, steps = np.array(geometry.scale), np.ones(len(geometry.axes))
    steps[-2:] = 2**level
    grown, moved = scale * steps, geometry.translation + scale * (steps - 1) / 2
    return {
        "path": str(level),
        "coordinateTransformations": [
            {"type": "scale", "scale": grown.tolist()},
            {"type": "translation", "translation": moved.tolist()},
        ],
    }


def _empty(
    group: zarr.Group, shape: tuple[int, ...], dtype: np.dtype[Any], **naming: Any
) -> zarr.Array[Any]:
    return group.create_array(
        **naming,
        shape=shape,
        chunks=(*(1 for _ in shape[:-2]), *(min(TILE, side) for side in shape[-2:])),
        dtype=dtype,
        fill_value=0,
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
    )


def _index(place: tuple[int, ...], box: Box) -> tuple[int | slice, ...]:
    return (*place, *box.slices)


def _halved_box(box: Box) -> Box:
    """Return the pixels of the next level that touch a box."""
    return Box(box.top // 2, box.left // 2, -(-box.bottom // 2), -(-box.right // 2))


def _clipped(box: Box, shape: tuple[int, ...]) -> Box:
    return box.intersection(Box.whole(shape))

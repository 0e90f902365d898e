"""Labels on disk in tiles and at several sizes, of which a part is read and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from ..values import WITHOUT_UNIT, Box, FrameIndex, Geometry, StorageError, named_unit

Labels = NDArray[Any]
"""Of uint16, or of uint32 where there are more objects than that holds."""

NARROW = np.dtype(np.uint16)
"""Holds the labels of 65 535 objects."""

TILE = 512
"""Side of a chunk in pixels."""

PART = 4 * TILE
"""Side of what is copied at once, in pixels."""

SMALL = 2048
"""The last level has fewer rows and columns than this."""

OME_ZARR_VERSION = "0.5"


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
        levels = (
            empty_labels(
                group, (*shape[:-2], *plane), dtype, TILE, name=str(level), dimension_names=axes
            )
            for level, plane in enumerate(level_sides((shape[-2], shape[-1])))
        )
        return cls(tuple(levels))

    @classmethod
    def of(cls, group: zarr.Group) -> Self:
        """Open the labels named 0, 1, ... in a group."""
        levels = sorted((name for name, _ in group.arrays() if name.isdigit()), key=int)
        return cls(tuple(array_in(group, level) for level in levels))

    @property
    def dtype(self) -> np.dtype[Any]:
        """What holds a label."""
        return np.dtype(self.levels[0].dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the finest level, rows and columns last."""
        return self.levels[0].shape

    def read(self, frame_index: FrameIndex, box: Box) -> Labels:
        """Read the pixels (h, w) in a box of a frame."""
        return np.asarray(self.levels[0][_index(frame_index, box)], self.dtype)

    def write(self, frame_index: FrameIndex, box: Box, labels: Labels) -> None:
        """Replace the pixels (h, w) in a box of a frame, at every level."""
        self.levels[0][_index(frame_index, box)] = labels
        for finer, coarser in zip(self.levels, self.levels[1:], strict=False):
            box = _halved_box(box)
            source = _clipped(Box(*(2 * side for side in box)), finer.shape)
            shrunk = halved(np.asarray(finer[_index(frame_index, source)], self.dtype))
            coarser[_index(frame_index, box)] = shrunk

    def write_all(self, labels: Any) -> None:
        """Copy labels of the same shape, part by part; where there are none nothing is written.

        Raises
        ------
        StorageError
            If a label is too high to be held, or negative.
        """
        highest = np.iinfo(self.dtype).max
        for frame_index in product(*map(range, self.shape[:-2])):
            for box in boxes_of_parts(self.shape, (PART, PART)):
                part = np.asarray(labels[_index(frame_index, box)])
                if part.max() > highest or part.min() < 0:
                    raise StorageError(
                        f"Only labels from 0 to {highest} can be written: relabel the layer first."
                    )
                if part.any():
                    self.write(frame_index, box, part.astype(self.dtype))


def array_in(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array of a group.

    Raises
    ------
    LookupError
        If there is no array of this name.
    """
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise LookupError(f"{name} is no array")
    return array


def empty_labels(
    group: zarr.Group, shape: tuple[int, ...], dtype: np.dtype[Any], side: int, **naming: Any
) -> zarr.Array[Any]:
    """Make an array of zeros in a group, with chunks of one frame of at most this side."""
    return group.create_array(
        **naming,
        shape=shape,
        chunks=(*(1 for _ in shape[:-2]), *(min(side, length) for length in shape[-2:])),
        dtype=dtype,
        fill_value=0,
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
    )


def chunks_on_disk(
    folder: Path, array: zarr.Array[Any], frame_index: FrameIndex | None = None
) -> Iterator[tuple[int, ...]]:
    """Yield where the chunks of an array, or of one of its frames, are on its grid of chunks.

    Parameters
    ----------
    folder : Path
        The root of the array's store.
    array : zarr.Array
        The array.
    frame_index : tuple of int, optional
        The frame whose chunks are wanted.
    """
    root = folder / array.path / "c"
    frames = ["*"] * (array.ndim - 2) if frame_index is None else map(str, frame_index)
    for chunk in root.glob("/".join((*frames, "*", "*"))):
        parts = chunk.relative_to(root).parts
        if parts[-1].isdigit():  # else it is being written
            yield tuple(int(part) for part in parts)


def boxes_of_parts(shape: tuple[int, ...], sides: tuple[int, int]) -> Iterator[Box]:
    """Cut frames of this shape into boxes of so many rows and columns or less, row by row."""
    height, width = shape[-2:]
    for top, left in product(range(0, height, sides[0]), range(0, width, sides[1])):
        yield Box(top, left, min(top + sides[0], height), min(left + sides[1], width))


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
    """Write the OME-Zarr metadata of labels.

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
        "version": OME_ZARR_VERSION,
        "multiscales": [multiscale],
        "image-label": {"version": OME_ZARR_VERSION},
    }


def _axis(name: str, unit: str) -> dict[str, str]:
    axis = {"name": name, "type": {"t": "time", "c": "channel"}.get(name, "space")}
    if unit in WITHOUT_UNIT:
        return axis
    return axis | {"unit": named_unit(unit) or unit}


def _dataset(level: int, geometry: Geometry) -> dict[str, Any]:
    """Describe a level; the centre of its first pixel is in the middle of those it was made of."""
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


def _index(frame_index: FrameIndex, box: Box) -> tuple[int | slice, ...]:
    return (*frame_index, *box.slices)


def _halved_box(box: Box) -> Box:
    """Return the pixels of the next level that touch a box."""
    return Box(box.top // 2, box.left // 2, -(-box.bottom // 2), -(-box.right // 2))


def _clipped(box: Box, shape: tuple[int, ...]) -> Box:
    return box.intersection(Box.whole(shape))

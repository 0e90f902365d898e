"""The door between the coordinates of a layer and the frames of a stack.

Rows and columns are the last two axes of a layer's data. A frame index is the index along every
axis before them; for one 2-D image it is empty. A stack runs along one of these axes, its position
is the index along the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..values import FrameIndex, FramesError

if TYPE_CHECKING:
    from napari.layers import Layer

_TIME = ("t", "time", "frame", "frames")
_DEPTH = ("z", "depth", "plane", "slice")


@dataclass(frozen=True, slots=True)
class StackAxes:
    """Which frames of a layer make the stack."""

    shape: tuple[int, ...]  # of the layer's data, without its colour axis
    frame_axis: int | None  # None: the one image at `position`
    position: FrameIndex  # index along every axis but frames, rows and columns

    @classmethod
    def of(cls, layer: Layer, frame_axis: int | None, world_point: ArrayLike) -> Self:
        """Take the stack along an axis of a layer, at the position the viewer is at."""
        shape = data_shape(layer)
        if frame_axis is not None and not 0 <= frame_axis < len(shape) - 2:
            raise FramesError(
                f"Axis {frame_axis} of {layer.name} holds no stack: its last two axes are rows and "
                "columns. Choose another stack axis."
            )
        coordinates = np.nan_to_num(layer.world_to_data(world_point))[: len(shape) - 2]
        here = np.clip(np.rint(coordinates), 0, np.array(shape[:-2]) - 1).astype(int)
        return cls(shape, frame_axis, tuple(np.delete(here, _removed(frame_axis)).tolist()))

    @classmethod
    def through(cls, layer: Layer, frame_axis: int | None, frame_index: FrameIndex) -> Self:
        """Take the stack along an axis of a layer that holds a frame."""
        position = frame_index
        if frame_axis is not None:
            position = frame_index[:frame_axis] + frame_index[frame_axis + 1 :]
        return cls(data_shape(layer), frame_axis, position)

    @property
    def count(self) -> int:
        """How many frames the stack has."""
        return 1 if self.frame_axis is None else self.shape[self.frame_axis]

    @property
    def plane(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.shape[-2], self.shape[-1]

    def frame_index(self, frame: int) -> FrameIndex:
        """Return the index of a frame in the layer."""
        if self.frame_axis is None:
            return self.position
        before, after = self.position[: self.frame_axis], self.position[self.frame_axis :]
        return (*before, frame, *after)

    def frame_of(self, frame_index: FrameIndex) -> int:
        """Return which frame of the stack has this index."""
        return 0 if self.frame_axis is None else frame_index[self.frame_axis]

    def holds(self, frame_index: FrameIndex) -> bool:
        """Tell whether a frame of the stack has this index."""
        if len(frame_index) != len(self.shape) - 2 or not is_inside(frame_index, self.shape):
            return False
        return self.frame_index(self.frame_of(frame_index)) == frame_index

    def split(self, coordinates: ArrayLike) -> tuple[list[FrameIndex], NDArray[np.float64]]:
        """Split data coordinates, (N, ndim), into N frame indices and (N, 2) rows and columns."""
        return split_coordinates(coordinates)


def split_coordinates(coordinates: ArrayLike) -> tuple[list[FrameIndex], NDArray[np.float64]]:
    """Split data coordinates into the nearest frame indices and the rows and columns there.

    Parameters
    ----------
    coordinates : (N, ndim) in pixels of the layer's data. What is not a number gets index -1.

    Returns
    -------
    N frame indices, and (N, 2) rows and columns in pixels of their frames.
    """
    array = np.asarray(coordinates, np.float64)
    nearest = np.nan_to_num(np.rint(array[:, :-2]), nan=-1, posinf=-1, neginf=-1).astype(int)
    return list(map(tuple, nearest.tolist())), array[:, -2:].copy()


def is_inside(frame_index: FrameIndex, shape: Sequence[int]) -> bool:
    """Tell whether data of this shape has a frame of this index."""
    return all(0 <= index < length for index, length in zip(frame_index, shape[:-2], strict=True))


def are_inside(coordinates: ArrayLike, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Tell which data coordinates, (N, ndim), fall on a pixel of data of this shape."""
    nearest = np.rint(np.asarray(coordinates, np.float64))
    return np.asarray(((nearest >= 0) & (nearest < np.array(shape))).all(axis=1))


def data_shape(layer: Layer) -> tuple[int, ...]:
    """Return the shape of a layer's data: full resolution, without its colour axis."""
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(map(int, data.shape[: layer.ndim]))


def stack_axis_choices(layer: Layer) -> list[tuple[str, int]]:
    """Name the axes a stack of this layer can run along, by their labels where it has any."""
    return [(_label(layer, axis), axis) for axis in range(layer.ndim - 2)]


def default_stack_axis(layer: Layer) -> int | None:
    """Choose the time axis, else depth, else the longest; None for one 2-D image."""
    shape = data_shape(layer)[:-2]
    axes = [axis for axis, length in enumerate(shape) if length > 1] or list(range(len(shape)))
    for names in (_TIME, _DEPTH):
        for axis in axes:
            if str(layer.axis_labels[axis]).lower() in names:
                return axis
    return max(axes, key=lambda axis: shape[axis], default=None)


GEOMETRY = ("scale", "translate", "rotate", "shear", "affine", "axis_labels", "units")
"""Attributes that say where a layer lies; each has an event of the same name."""


def geometry(layer: Layer) -> dict[str, Any]:
    """Return the arguments that make another layer lie exactly on this one."""
    values = {name: getattr(layer, name) for name in GEOMETRY}
    return values | {"affine": layer.affine.affine_matrix}


def lay_on(layer: Layer, image: Layer) -> None:
    """Move a layer to where an image lies now."""
    for name, value in geometry(image).items():
        setattr(layer, name, value)


def _label(layer: Layer, axis: int) -> str:
    label = str(layer.axis_labels[axis])
    is_unnamed = not label or label.lstrip("-").isdigit()
    return f"axis {axis}" if is_unnamed else label


def _removed(frame_axis: int | None) -> list[int]:
    return [] if frame_axis is None else [frame_axis]

"""Stacks of which a layer reads the frames it shows, whatever it indexes before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class LazyStack:
    """An array (..., H, W) of which nothing is read before it is known from which frames.

    Of a stack in several sizes, napari first takes the part in view of *all* frames, and of that
    the frame in view. Here a part of several frames is again such a stack; only what is indexed
    with a number for every axis before rows and columns is read.

    Parameters
    ----------
    source : array
        What is read: it has a shape and a dtype, and is indexed with a number or a slice of every
        axis.

    Attributes
    ----------
    source : array
        The same.
    """

    def __init__(self, source: Any) -> None:
        self.dtype = np.dtype(source.dtype)
        self.chunks = getattr(source, "chunks", None)  # napari reads whole ones
        self.source = source
        self._index: tuple[range | int, ...] = tuple(map(range, source.shape))  # of each axis

    @property
    def shape(self) -> tuple[int, ...]:
        """How many indices are left of every axis."""
        return tuple(len(axis) for axis in self._index if isinstance(axis, range))

    @property
    def ndim(self) -> int:
        """How many axes are left."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many pixels there are."""
        return math.prod(self.shape)

    def __getitem__(self, index: Any) -> LazyStack | NDArray[Any]:
        """Return pixels of one frame, or a part of several frames that is yet to be read."""
        part = self._part(index)
        is_frame = not any(isinstance(axis, range) for axis in part._index[:-2])
        return part._read() if is_frame else part

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        """Read all that is left."""
        return np.array(self._read(), dtype=dtype, copy=copy)

    def _part(self, index: Any) -> LazyStack:
        """Return a part of this part, which numpy would index so."""
        indices = iter(_of_every_axis(index, self.ndim))
        part = LazyStack(self.source)
        part._index = tuple(
            axis[next(indices)] if isinstance(axis, range) else axis for axis in self._index
        )
        return part

    def _read(self) -> NDArray[Any]:
        return np.asarray(self.source[tuple(map(_source_index, self._index))])


def _of_every_axis(index: Any, ndim: int) -> tuple[Any, ...]:
    """Return a number or a slice for every axis, as numpy understands an index."""
    given = index if isinstance(index, tuple) else (index,)
    gap = next((at for at, item in enumerate(given) if item is Ellipsis), len(given))
    before, after = given[:gap], given[gap + 1 :]
    missing = ndim - len(before) - len(after)
    if missing < 0:
        raise IndexError(f"A stack of {ndim} axes cannot be indexed with {ndim - missing}.")
    return (*before, *(slice(None) for _ in range(missing)), *after)


def _source_index(axis: range | int) -> slice | int:
    if isinstance(axis, int):
        return axis
    end = axis.stop if axis.stop >= 0 else None  # backwards up to the first
    return slice(axis.start, end, axis.step)

"""Stacks of which a layer reads the frames it shows, whatever it asks for on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class LazyStack:
    """An array (..., H, W) of which nothing is read before it is known from which frames.

    Of a stack in several sizes, napari first takes the part in view of *all* frames, and of that
    the frame in view. Here a part of several frames is again such a stack; only what is asked
    with a number for every axis before rows and columns is read.

    Parameters
    ----------
    source : array
        What is read: it has a shape and a dtype, and is asked for a number or a slice of every
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
        self._asked: tuple[range | int, ...] = tuple(map(range, source.shape))  # of each axis

    @property
    def shape(self) -> tuple[int, ...]:
        """How many indices are left of every axis."""
        return tuple(len(one) for one in self._asked if isinstance(one, range))

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
        is_one_frame = not any(isinstance(one, range) for one in part._asked[:-2])
        return part._read() if is_one_frame else part

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        """Read all that is left."""
        return np.array(self._read(), dtype=dtype, copy=copy)

    def _part(self, index: Any) -> LazyStack:
        """Ask for a part of what was asked for until now, in the words of numpy."""
        wanted = iter(_of_every_axis(index, self.ndim))
        part = LazyStack(self.source)
        part._asked = tuple(
            one[next(wanted)] if isinstance(one, range) else one for one in self._asked
        )
        return part

    def _read(self) -> NDArray[Any]:
        return np.asarray(self.source[tuple(map(_index, self._asked))])


def _of_every_axis(index: Any, ndim: int) -> tuple[Any, ...]:
    """Return a number or a slice for every axis, as numpy understands an index."""
    asked = index if isinstance(index, tuple) else (index,)
    at = next((at for at, one in enumerate(asked) if one is Ellipsis), len(asked))
    before, after = asked[:at], asked[at + 1 :]
    others = ndim - len(before) - len(after)
    if others < 0:
        raise IndexError(f"Of a stack of {ndim} axes, {ndim - others} were asked for.")
    return (*before, *(slice(None) for _ in range(others)), *after)


def _index(asked: range | int) -> slice | int:
    if isinstance(asked, int):
        return asked
    end = asked.stop if asked.stop >= 0 else None  # backwards up to the first
    return slice(asked.start, end, asked.step)

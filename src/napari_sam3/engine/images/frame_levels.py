"""The levels of a large frame, of which parts are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .windows import Window

BLOCK = 2048
"""Side of what is read at once where a level has to be shrunk, in pixels."""

Edges = NDArray[np.int64]
Spans = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class FrameLevel:
    """One size in which the frames of a stack are stored."""

    shape: tuple[int, int]  # (H, W)
    read: Callable[[int, slice, slice], NDArray[Any]]  # frame, rows, columns -> (h, w, C)


def nearest_finer(levels: Sequence[FrameLevel], level: int) -> FrameLevel:
    """Return the coarsest of some levels, finest first, that is as fine as a level of windows."""
    rows, cols = levels[0].shape
    fine = [
        one
        for one in levels
        if max(rows / (one.shape[0] + 1), cols / (one.shape[1] + 1)) < 1 << level
    ]
    return (fine or levels[:1])[-1]


def window_edges(window: Window, shape: tuple[int, int], level: FrameLevel) -> tuple[Edges, Edges]:
    """Return where the pixels of a window of a frame (H, W) begin and end on a level.

    Returns
    -------
    tuple of (h + 1,) and (w + 1,) arrays
        Borders between rows and between columns of the level.
    """
    rows = _edges(window.top, window.height, window.scale, (shape[0], level.shape[0]))
    cols = _edges(window.left, window.width, window.scale, (shape[1], level.shape[1]))
    return rows, cols


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A part of a window that is read at once."""

    target: Spans  # rows and columns of the window
    source: Spans  # rows and columns of the level
    edges: tuple[Edges, Edges]  # borders between the window's pixels, counted from the source


def blocks(rows: Edges, cols: Edges) -> Iterator[Block]:
    """Cut a window with these edges into blocks, at most `BLOCK` pixels of the level a side.

    They lie on a grid that starts at the level's corner, like the chunks of most files.
    """
    for top in _runs(rows):
        for left in _runs(cols):
            edges = rows[top.start : top.stop + 1], cols[left.start : left.stop + 1]
            source = _source(edges[0]), _source(edges[1])
            inner = edges[0] - source[0].start, edges[1] - source[1].start
            yield Block((top, left), source, inner)


def averaged(part: NDArray[Any], edges: tuple[Edges, Edges]) -> NDArray[Any]:
    """Average a part of a level, (h, w, C), over the pixels between edges."""
    means = part.astype(np.result_type(part.dtype, np.float32))
    for axis, own in enumerate(edges):
        starts = np.minimum(own[:-1], part.shape[axis] - 1)
        counts = np.maximum(own[1:] - own[:-1], 1).astype(means.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            means = np.add.reduceat(means, starts, axis)
        means /= np.expand_dims(counts, [other for other in range(3) if other != axis])
    return means


def _edges(first: int, count: int, scale: int, sizes: tuple[int, int]) -> Edges:
    """Return the borders of so many pixels, on a level that has the second size for the first."""
    size, given = sizes
    places = np.minimum(np.arange(first, first + count + 1) * scale, size)
    return np.rint(places * (given / size)).astype(np.int64)


def _runs(edges: Edges) -> list[slice]:
    """Share the pixels between edges out, so that each share spans no more than a block."""
    shares = np.flatnonzero(np.diff(edges[:-1] // BLOCK, prepend=-1))
    stops = [*shares[1:].tolist(), len(edges) - 1]
    return [slice(start, stop) for start, stop in zip(shares.tolist(), stops, strict=True)]


def _source(edges: Edges) -> slice:
    start, stop = int(edges[0]), int(edges[-1])
    return slice(start, stop) if stop > start else slice(start - 1, start)

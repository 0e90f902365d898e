"""Images too large to be held, drawn where they are looked at, with a count of what is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Chunk = tuple[int, int, int]  # frame, row and column of a chunk
Draw = Callable[[int, NDArray[np.int64], NDArray[np.int64]], NDArray[np.generic]]
"""Returns the pixels of a frame in these rows and columns."""


class DrawnStack:
    """A stack (F, H, W) that counts the chunks it reads.

    Parameters
    ----------
    shape : tuple of int
        Frames, height and width.
    draw : callable
        What it shows.
    side : int
        Rows and columns of a chunk.
    """

    def __init__(self, shape: tuple[int, int, int], draw: Draw, side: int = 512) -> None:
        self.shape = shape
        self.draw = draw
        self.side = side
        none = np.zeros(0, np.int64)
        self.dtype = draw(0, none, none).dtype
        self.chunks_read: Counter[Chunk] = Counter()
        self.largest = 0  # pixels that were read at once

    def __getitem__(self, where: tuple[int, slice, slice]) -> NDArray[np.generic]:
        frame, *parts = where
        rows, cols = (
            np.arange(*part.indices(size)) for part, size in zip(parts, self.shape[1:], strict=True)
        )
        self.largest = max(self.largest, len(rows) * len(cols))
        touched = (np.unique(places // self.side).tolist() for places in (rows, cols))
        row_chunks, col_chunks = touched
        self.chunks_read.update((frame, row, col) for row in row_chunks for col in col_chunks)
        return self.draw(frame, rows, cols)


def repeated(tile: NDArray[np.generic], shape: tuple[int, int]) -> DrawnStack:
    """Repeat a small stack (F, h, w) over frames of a large shape, from their upper left corner."""
    rows, cols = tile.shape[1:]
    return DrawnStack(
        (len(tile), *shape), lambda frame, *at: tile[frame][np.ix_(at[0] % rows, at[1] % cols)]
    )


def pyramid(tile: NDArray[np.generic], shape: tuple[int, int], levels: int) -> list[DrawnStack]:
    """Repeat a small stack over a large frame, which every further level halves."""
    stacks = []
    for _ in range(levels):
        stacks.append(repeated(tile, shape))
        rows, cols = tile.shape[1] // 2 * 2, tile.shape[2] // 2 * 2
        blocks = tile[:, :rows, :cols].reshape(len(tile), rows // 2, 2, cols // 2, 2)
        tile = blocks.mean((2, 4)).astype(tile.dtype)
        shape = -(-shape[0] // 2), -(-shape[1] // 2)
    return stacks


def disks(
    centres: Sequence[Sequence[tuple[float, float]]], radius: float, shape: tuple[int, int]
) -> DrawnStack:
    """Draw bright disks on dark frames: for every frame, their centres."""

    def draw(frame: int, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.uint8]:
        pixels = np.full((len(rows), len(cols)), 20, np.uint8)
        for row, col in centres[frame]:
            inside = (rows[:, None] - row) ** 2 + (cols - col) ** 2 <= radius**2
            pixels[inside] = 220
        return pixels

    return DrawnStack((len(centres), *shape), draw)

"""An image of 20 000 x 20 000 pixels that is nowhere: its pixels are made when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam3.values import Box

SIDE = 20_000
PERIOD = 250  # pixels from one disk to the next
RADIUS = 20  # of a disk
LEVELS = 5
BRIGHT, DARK = 220, 20
TILE_PIXELS = 2048**2 // 2  # more is not read for a click


class VirtualImage:
    """One size of an image of bright disks, which knows what was read of it.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns last.
    step : int
        How many pixels of the full size one pixel stands for.
    """

    def __init__(self, shape: Sequence[int] = (SIDE, SIDE), step: int = 1) -> None:
        self.shape = tuple(shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(np.uint8)
        self.chunks = (*(1 for _ in self.shape[:-2]), 512, 512)
        self.step = step
        self.reads: list[int] = []  # pixels of each

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in index:
            at = index.index(Ellipsis)
            gap = self.ndim - len(index) + 1
            index = (*index[:at], *(slice(None) for _ in range(gap)), *index[at + 1 :])
        index = (*index, *(slice(None) for _ in range(self.ndim - len(index))))
        rows, cols = (
            np.arange(side)[part] for side, part in zip(self.shape[-2:], index[-2:], strict=True)
        )
        pixels = self._pixels(rows, cols)
        for side, part in zip(self.shape[-3::-1], index[-3::-1], strict=True):
            if isinstance(part, slice):
                pixels = np.stack([pixels] * len(range(*part.indices(side))))
        self.reads.append(pixels.size)
        return pixels

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return self[(slice(None),) * self.ndim]

    def _pixels(self, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.uint8]:
        down, across = (
            (places * self.step + self.step // 2) % PERIOD - PERIOD // 2 for places in (rows, cols)
        )
        is_bright = np.add.outer(down**2, across**2) <= RADIUS**2
        return np.where(is_bright, BRIGHT, DARK).astype(np.uint8)


def pyramid(frames: int = 0, levels: int = LEVELS) -> list[VirtualImage]:
    """Return the sizes of an image, or of a stack of so many."""
    first = (frames,) if frames else ()
    return [
        VirtualImage((*first, SIDE >> level, SIDE >> level), 1 << level) for level in range(levels)
    ]


def centre(row: int, col: int) -> tuple[int, int]:
    """Return the middle of the disk of this row and column of disks."""
    return row * PERIOD + PERIOD // 2, col * PERIOD + PERIOD // 2


def disk_at(row: int, col: int) -> tuple[Box, NDArray[np.bool_]]:
    """Return the box of a disk and its pixels there."""
    middle = centre(row, col)
    offsets = np.arange(-RADIUS, RADIUS + 1)
    mask = np.add.outer(offsets**2, offsets**2) <= RADIUS**2
    top, left = middle[0] - RADIUS, middle[1] - RADIUS
    return Box(top, left, top + len(offsets), left + len(offsets)), mask


class TiledImage(VirtualImage):
    """One size of an image that repeats a picture, (h, w), again and again."""

    def __init__(self, picture: NDArray[Any], shape: Sequence[int], step: int = 1) -> None:
        super().__init__(shape, step)
        self._picture = picture
        self.dtype = picture.dtype

    def _pixels(self, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[Any]:
        down, across = (
            (places * self.step + self.step // 2) % side
            for places, side in zip((rows, cols), self._picture.shape, strict=True)
        )
        return self._picture[np.ix_(down, across)]

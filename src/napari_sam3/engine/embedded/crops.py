"""Where a crop of one pyramid level lies on the image, and the way there and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .features import COARSE_STRIDE, CROP

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of ``CROP`` pixels of one level.

    Levels are powers of two apart and share the image's upper left corner, so that every border
    of a crop is a border between pixels of the image.
    """

    scale: float  # pixels of the level per pixel of the image
    row: int  # of the crop's first pixel, on the level; a multiple of 4, may be negative
    col: int

    @classmethod
    def around(cls, row: float, col: float, scale: float) -> Self:
        """Put a crop around a place of the image, (row, col) in its pixels."""
        corner = [((place + 0.5) * scale - CROP / 2) / COARSE_STRIDE for place in (row, col)]
        return cls(scale, round(corner[0]) * COARSE_STRIDE, round(corner[1]) * COARSE_STRIDE)

    @property
    def side(self) -> int:
        """Pixels of the image along one side."""
        return int(CROP / self.scale)

    @property
    def origin(self) -> tuple[int, int]:
        """First row and column on the image, may be negative."""
        return int(self.row / self.scale), int(self.col / self.scale)

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn points of the image, (N, 2), into points of the crop."""
        return (points + 0.5) * self.scale - 0.5 - np.array([self.row, self.col])

    def box(self, box: NDArray[np.float64]) -> Box:
        """Turn a box of the image, (4,), into one of the crop."""
        row0, col0, row1, col1 = self.points(box.reshape(2, 2)).ravel().tolist()
        return row0, col0, row1, col1

    def holds(self, points: NDArray[np.float64], margin: float = 0.0) -> bool:
        """Whether all points of the image, (N, 2), are on the crop, so far from its border."""
        places = self.points(points)
        return bool(((places >= margin - 0.5) & (places <= CROP - 0.5 - margin)).all())

    def window(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the part of an image (H, W) that the crop covers."""
        spans = [
            slice(min(max(first, 0), size), min(max(first + self.side, 0), size))
            for first, size in zip(self.origin, shape, strict=True)
        ]
        return spans[0], spans[1]

    def inside(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the same part in pixels of the image counted from the crop's corner."""
        rows, cols = self.window(shape)
        top, left = self.origin
        return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)

    def cut(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Cut a mask (H, W) of the image out, (112, 112): the share of each pixel it covers."""
        whole = np.zeros((self.side, self.side), np.float32)
        whole[self.inside(_shape(mask))] = mask[self.window(_shape(mask))]
        if self.scale > 1:
            return whole.repeat(int(self.scale), 0).repeat(int(self.scale), 1)
        step = int(1 / self.scale)
        return whole.reshape(CROP, step, CROP, step).mean((1, 3), dtype=np.float32)

    def spread(
        self, logits: NDArray[np.float32], shape: tuple[int, int]
    ) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """Bring logits (56, 56) to an image (H, W): where they are positive, and values there."""
        cell = int(2 / self.scale)
        inside = logits > 0
        cells = [_span(np.flatnonzero(inside.any(axis)), len(inside)) for axis in (1, 0)]
        source = torch.from_numpy(logits[cells[0], cells[1]])[None, None]
        if not source.numel():
            return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32)
        wide = source
        if cell > 1:
            wide = F.interpolate(source, scale_factor=cell, mode="bilinear", align_corners=False)
        window, parts = [], []
        for first, span, size in zip(self.origin, cells, shape, strict=True):
            start, stop = first + span.start * cell, first + span.stop * cell
            window.append(slice(min(max(start, 0), size), min(max(stop, 0), size)))
            parts.append(slice(window[-1].start - start, window[-1].stop - start))
        return (window[0], window[1]), wide[0, 0].numpy()[parts[0], parts[1]]


def _span(used: NDArray[np.int64], count: int) -> slice:
    """Return the cells from the first used one to the last, with one more on either side."""
    if not len(used):
        return slice(0, 0)
    return slice(max(int(used[0]) - 1, 0), min(int(used[-1]) + 2, count))


def _shape(mask: NDArray[np.bool_]) -> tuple[int, int]:
    return mask.shape[0], mask.shape[1]

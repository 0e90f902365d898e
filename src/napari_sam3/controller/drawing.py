"""Chosen candidates as labels, piece by piece where frames are large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..engine import LARGE_FRAME, Chosen, PixelBox, Selection

BLOCK = 1024
"""Rows and columns of a piece of a large frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What a frame is to show of a concept."""

    selection: Selection  # by which it was chosen
    chosen: Chosen | None  # None: nothing
    labels: NDArray[np.int32] | None = None  # (H, W), unless it is drawn piece by piece

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be seen."""
        return self.chosen is None or not self.chosen.found

    def parts(self, shape: tuple[int, int]) -> Iterator[tuple[PixelBox, NDArray[np.int32]]]:
        """Draw a frame of this shape: boxes of it, and the labels (h, w) in them."""
        for box in boxes_of(shape):
            yield box, self._part(box)

    def _part(self, box: PixelBox) -> NDArray[np.int32]:
        if self.labels is not None:
            return self.labels
        if self.chosen is None:
            return np.zeros((box[2] - box[0], box[3] - box[1]), np.int32)
        return self.chosen.labels_in(slice(box[0], box[2]), slice(box[1], box[3]))


def drawn(selection: Selection, chosen: Chosen) -> Drawing:
    """Draw what was chosen, if the frame is not so large that it is drawn piece by piece."""
    is_large = len(boxes_of(chosen.sieve.candidates.shape)) > 1
    return Drawing(selection, chosen, None if is_large else chosen.labels)


def boxes_of(shape: tuple[int, int]) -> list[PixelBox]:
    """Divide a frame of this shape into the boxes that it is drawn in."""
    rows, cols = shape
    if rows * cols <= LARGE_FRAME:
        return [(0, 0, rows, cols)]
    corners = product(range(0, rows, BLOCK), range(0, cols, BLOCK))
    return [(top, left, min(top + BLOCK, rows), min(left + BLOCK, cols)) for top, left in corners]

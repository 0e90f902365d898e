"""The pixels of one object on one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .boxes import Box

HypothesisName = Literal["whole", "part", "sub-part"]
HYPOTHESIS_NAMES: tuple[HypothesisName, ...] = ("whole", "part", "sub-part")
"""What a click may mean: the whole object, a part of it, or a part of that."""


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The pixels of one object on one frame, of which only a crop is held.

    No pixel outside the box belongs to the object. A mask stands wherever an array of its pixels
    does.
    """

    crop: NDArray[np.bool_]  # (h, w), read-only, the pixels in the box
    box: Box  # where the crop lies on the frame; that of `trimmed()` bounds the object
    shape: tuple[int, int]  # (H, W) of the frame
    score: float = 1.0  # predicted intersection over union with what was meant, 0..1
    name: HypothesisName = "whole"
    alternatives: tuple[Mask, ...] = ()  # up to three mask hypotheses, best first
    frame: int = 0
    object_id: int = 1

    @classmethod
    def of(cls, pixels: NDArray[np.bool_], score: float = 1.0) -> Self:
        """Hold all pixels of a frame, (H, W)."""
        height, width = pixels.shape
        return cls(pixels, Box(0, 0, height, width), (height, width), score)

    @classmethod
    def absent(cls, shape: tuple[int, int], frame: int = 0, object_id: int = 1) -> Self:
        """Return the empty mask, of score 0, of an object that is not on a frame (H, W)."""
        nothing = np.zeros((0, 0), bool)
        return cls(nothing, Box(0, 0, 0, 0), shape, 0.0, frame=frame, object_id=object_id)

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """All pixels of the frame, (H, W), read-only; laid out anew unless the crop is all."""
        if self.crop.shape == self.shape:
            return self.crop
        pixels = np.zeros(self.shape, bool)
        pixels[self.box.slices] = self.crop
        pixels.setflags(write=False)
        return pixels

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.crop))

    def trimmed(self) -> Self:
        """Return the same mask on the smallest box that holds it."""
        inner = Box.around(self.crop)
        crop = self.crop[inner.slices].copy()
        crop.setflags(write=False)
        if inner.is_empty:
            return replace(self, crop=crop, box=inner)
        return replace(self, crop=crop, box=inner.shifted(self.box.top, self.box.left))

    def within(self, box: Box) -> NDArray[np.bool_]:
        """Return the pixels in another box, in its shape."""
        if box == self.box:
            return self.crop
        pixels = np.zeros(box.shape, bool)
        top, left, bottom, right = self.box.intersection(box)
        if top < bottom and left < right:
            rows = slice(top - box.top, bottom - box.top)
            cols = slice(left - box.left, right - box.left)
            pixels[rows, cols] = self._part(top, left, bottom, right)
        return pixels

    def _part(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
        """Cut pixels out of the crop, by rows and columns of the frame."""
        rows = slice(top - self.box.top, bottom - self.box.top)
        return self.crop[rows, left - self.box.left : right - self.box.left]

    def contains(self, points: NDArray[np.float64]) -> bool:
        """Tell whether all points, (N, 2) as row and column, are on its pixels."""
        nearest = np.rint(points).astype(int) - np.array(self.box[:2])
        if not ((nearest >= 0) & (nearest < self.crop.shape)).all():
            return False
        return bool(self.crop[tuple(nearest.T)].all())

    def shared_area(self, mask: Mask) -> int:
        """Count the pixels that two masks of one frame share."""
        shared = self.box.intersection(mask.box)
        if shared.top >= shared.bottom or shared.left >= shared.right:
            return 0
        return int(np.count_nonzero(self._part(*shared) & mask._part(*shared)))

    def iou(self, mask: Mask) -> float:
        """Intersection over union of two masks of one frame; 0 of two empty ones."""
        shared = self.shared_area(mask)
        areas = int(np.count_nonzero(self.crop)) + int(np.count_nonzero(mask.crop))
        return shared / max(areas - shared, 1)

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        """Return all pixels of the frame."""
        return np.array(self.pixels, dtype=dtype, copy=copy)


def named_hypotheses(masks: Sequence[Mask]) -> tuple[Mask, ...]:
    """Name mask hypotheses by their size, the largest first, and order them by score."""
    by_area = np.argsort([-np.count_nonzero(mask.crop) for mask in masks], kind="stable")
    names = dict(zip(by_area.tolist(), HYPOTHESIS_NAMES, strict=False))
    named = [replace(mask, name=names[index]) for index, mask in enumerate(masks)]
    return tuple(sorted(named, key=lambda mask: -mask.score))

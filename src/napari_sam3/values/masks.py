"""The pixels of one object on one frame, as a model answers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .boxes import PixelBox

HypothesisName = Literal["whole", "part", "sub-part"]
HYPOTHESIS_NAMES: tuple[HypothesisName, ...] = ("whole", "part", "sub-part")


@dataclass(frozen=True, slots=True)
class MaskPlace:
    """Where a patch of a picture lies."""

    top: int  # row of its first pixel
    left: int  # column of its first pixel
    shape: tuple[int, int]  # (H, W) of the picture

    def spread(self, patch: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Put a patch, (h, w), on the empty picture, (H, W), read-only."""
        pixels = np.zeros(self.shape, bool)
        rows, cols = patch.shape
        pixels[self.top : self.top + rows, self.left : self.left + cols] = patch
        pixels.setflags(write=False)
        return pixels


class Patched:
    """A mask of which only a patch is held where the picture is a large one."""

    __slots__ = ()

    patch: NDArray[np.bool_]
    place: MaskPlace | None

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """All pixels, (H, W), read-only; of a large picture they are laid out on every call."""
        return self.patch if self.place is None else self.place.spread(self.patch)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture."""
        if self.place is not None:
            return self.place.shape
        return self.patch.shape[0], self.patch.shape[1]

    @property
    def box(self) -> PixelBox:
        """Where the patch lies: no pixel outside belongs to the object, few inside may."""
        top, left = (0, 0) if self.place is None else (self.place.top, self.place.left)
        return top, left, top + self.patch.shape[0], left + self.patch.shape[1]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.patch))


@dataclass(frozen=True, slots=True, eq=False)
class Reading(Patched):
    """One way to understand a prompt: the whole object, a part, or a part of that."""

    name: HypothesisName
    patch: NDArray[np.bool_]  # (h, w), read-only; all pixels (H, W) where no place is given
    score: float  # predicted intersection over union with what was meant, 0..1
    place: MaskPlace | None = None

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        """Return the pixels, so that a reading stands wherever a mask does."""
        return np.array(self.pixels, dtype=dtype, copy=copy)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectMask(Patched):
    """The mask of one object on one frame.

    Its ``pixels`` are (H, W); those in its ``box`` are its ``patch``, and there are no others.
    """

    frame: int
    object_id: int
    patch: NDArray[np.bool_]  # (h, w), read-only; all pixels (H, W) where no place is given
    score: float  # predicted intersection over union, 0..1
    alternatives: tuple[Reading, ...] = field(default=())  # up to three, best first
    place: MaskPlace | None = None


Mask = TypeVar("Mask", bound=Reading | ObjectMask)


def named_hypotheses(
    masks: Sequence[NDArray[np.bool_]],
    scores: Sequence[float],
    places: Sequence[MaskPlace] | None = None,
) -> tuple[Reading, ...]:
    """Name masks by their size, largest first, and order them by score, best first.

    They are (H, W), or patches of which it is told where they lie.
    """
    lying = [None] * len(masks) if places is None else places
    by_area = np.argsort([-np.count_nonzero(mask) for mask in masks], kind="stable")
    names = {int(index): name for index, name in zip(by_area, HYPOTHESIS_NAMES, strict=False)}
    hypotheses = [
        Reading(names[index], masks[index], float(scores[index]), lying[index])
        for index in range(len(masks))
    ]
    return tuple(sorted(hypotheses, key=lambda hypothesis: -hypothesis.score))


def bounds(mask: NDArray[np.bool_]) -> PixelBox:
    """Return the first row and column of a mask, (H, W) and not empty, and those after the last."""
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def trimmed(mask: Mask) -> Mask:
    """Return a mask without the empty rows and columns around it."""
    rows, cols = (np.flatnonzero(mask.patch.any(axis)) for axis in (1, 0))
    if not len(rows):
        return replace(mask, patch=np.zeros((0, 0), bool), place=MaskPlace(0, 0, mask.shape))
    top, left = int(rows[0]), int(cols[0])
    patch = mask.patch[top : int(rows[-1]) + 1, left : int(cols[-1]) + 1].copy()
    patch.setflags(write=False)
    return replace(
        mask, patch=patch, place=MaskPlace(mask.box[0] + top, mask.box[1] + left, mask.shape)
    )


Span = tuple[slice, slice]
"""Rows and columns of an image."""
Part = tuple[Span, NDArray[np.bool_]]
"""Where a mask lies on an image, and the mask there; no pixel outside belongs to it."""


def shared_area(one: Part, other: Part) -> int:
    """Count the pixels that two masks of one image share."""
    inner: list[Span] = []
    for first, second in zip(one[0], other[0], strict=True):
        start, stop = max(first.start, second.start), min(first.stop, second.stop)
        if start >= stop:
            return 0
        own = slice(start - first.start, stop - first.start)
        inner.append((own, slice(start - second.start, stop - second.start)))
    (own_rows, its_rows), (own_cols, its_cols) = inner
    return int(np.count_nonzero(one[1][own_rows, own_cols] & other[1][its_rows, its_cols]))


def overlap(one: Part, other: Part) -> float:
    """Intersection over union of two masks of one image; 0 of two empty ones."""
    shared = shared_area(one, other)
    either = int(np.count_nonzero(one[1]) + np.count_nonzero(other[1])) - shared
    return shared / max(either, 1)

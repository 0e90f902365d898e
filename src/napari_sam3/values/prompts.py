"""All that was said about one object on one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .errors import PromptError
from .masks import Mask

NOTHING_MARKED = "Nothing marks the object yet: add a positive point, a box or an outline."


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Prompts:
    """Points, boxes and a mask that describe one object on one frame.

    Parameters
    ----------
    points : (N, 2) array
        Clicks as (row, col) in pixels of the frame; pixel centres are at integers.
    positive : (N,) array of bool, optional
        Whether each click is inside the object. All are, when left out.
    boxes : (M, 4) array
        Boxes as (row, col, row, col) of two opposite corners, in pixels.
    mask : (H, W) array of bool or Mask, optional
        A rough outline, filled. A `Mask` that holds only a crop of its frame is kept as
        ``outline``; ``mask`` is None then.

    Raises
    ------
    PromptError
        If the arrays do not have these shapes.
    """

    points: NDArray[np.float64]
    positive: NDArray[np.bool_]
    boxes: NDArray[np.float64]
    mask: NDArray[np.bool_] | None
    outline: Mask | None

    def __init__(
        self,
        points: ArrayLike = (),
        positive: Sequence[bool] | NDArray[np.bool_] | None = None,
        boxes: ArrayLike = (),
        mask: ArrayLike | Mask | None = None,
    ) -> None:
        clicks = _rows(points, 2, "A point is a pair (row, col)")
        signs = np.ones(len(clicks), bool)
        if positive is not None:
            signs = _array(positive, bool, "Every point is inside the object or outside")
        if signs.shape != (len(clicks),):
            raise PromptError(f"{len(clicks)} points came with {signs.size} signs: give one each.")
        outline = (
            mask.trimmed() if isinstance(mask, Mask) and mask.crop.shape != mask.shape else None
        )
        pixels = None if outline or mask is None else _read_only(_pixels(mask))
        if pixels is not None and pixels.ndim != 2:
            raise PromptError(f"A mask prompt has two axes, not {pixels.ndim}.")
        object.__setattr__(self, "points", _read_only(clicks))
        object.__setattr__(self, "positive", _read_only(signs))
        object.__setattr__(self, "boxes", _read_only(_ordered(boxes)))
        object.__setattr__(self, "mask", pixels)
        object.__setattr__(self, "outline", outline)

    @property
    def is_empty(self) -> bool:
        """Whether there is no prompt at all."""
        return not len(self.points) and not len(self.boxes) and not self.has_mask

    @property
    def has_mask(self) -> bool:
        """Whether there is a rough outline."""
        return self.mask is not None or self.outline is not None

    @property
    def marks_object(self) -> bool:
        """Whether anything says where the object is, and not only where it is not."""
        return bool(self.positive.any() or len(self.boxes) or self.has_mask)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        outline = self.mask if self.outline is None else self.outline.crop
        arrays = (self.points, self.positive, self.boxes, outline)
        return sum([array.nbytes for array in arrays if array is not None])

    def check(self, shape: tuple[int, int]) -> None:
        """Refuse prompts that do not fit a frame of this shape (H, W)."""
        if not self.marks_object:
            raise PromptError(NOTHING_MARKED)
        _check_points(self.points, shape)
        _check_boxes(self.boxes, shape)
        _check_mask(self.mask if self.outline is None else self.outline, shape)

    def extends(self, earlier: Prompts) -> bool:
        """Whether these prompts repeat the earlier ones and add to them."""
        count = len(earlier.points)
        return (
            len(self.points) >= count
            and np.array_equal(self.points[:count], earlier.points)
            and np.array_equal(self.positive[:count], earlier.positive)
            and np.array_equal(self.boxes, earlier.boxes)
            and _same_pixels(self.mask, earlier.mask)
            and _same_outline(self.outline, earlier.outline)
        )

    def with_mask(self, mask: NDArray[np.bool_] | Mask) -> Self:
        """Return the same prompts with another mask, (H, W)."""
        return type(self)(self.points, self.positive, self.boxes, mask)

    def clipped(self, shape: tuple[int, int]) -> Self:
        """Return the same prompts, with the boxes cut off where a frame of this shape (H, W) ends.

        A box that goes on beyond would be a larger one, around another middle, to a model.
        """
        boxes = cut_off(self.boxes, shape)
        if np.array_equal(boxes, self.boxes):
            return self
        drawn = self.mask if self.outline is None else self.outline
        return type(self)(self.points, self.positive, boxes, drawn)

    def laid_out(self) -> Self:
        """Return the same prompts with all pixels of their outline as the mask, (H, W)."""
        return self if self.outline is None else self.with_mask(self.outline.pixels)


def cut_off(boxes: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return boxes, (..., 4), that end where a frame of this shape (H, W) does."""
    return np.clip(np.asarray(boxes, np.float64), -0.5, np.tile(shape, 2) - 0.5)


def _array(values: ArrayLike, dtype: DTypeLike, rule: str) -> NDArray[Any]:
    """Copy values into an array; an error tells the rule that they break."""
    try:
        return np.array(values, dtype)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{rule}; these values make up no array.") from error


def _rows(values: ArrayLike, width: int, rule: str) -> NDArray[np.float64]:
    rows = _array(values, np.float64, rule)
    if rows.size == 0:
        return np.zeros((0, width))
    if rows.ndim != 2 or rows.shape[1] != width:
        raise PromptError(f"{rule}; got an array of shape {rows.shape}.")
    return rows


def _ordered(boxes: ArrayLike) -> NDArray[np.float64]:
    corners = _rows(boxes, 4, "A box is (row, col, row, col) of two corners").reshape(-1, 2, 2)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def _check_points(points: NDArray[np.float64], shape: tuple[int, int]) -> None:
    inside = ((points >= -0.5) & (points <= np.array(shape) - 0.5)).all(axis=1)
    if not inside.all():
        row, col = points[~inside][0]
        raise PromptError(
            f"The point at row {row:.0f}, column {col:.0f} is outside the image "
            f"({shape[0]} x {shape[1]} pixels): click inside it."
        )


def _check_boxes(boxes: NDArray[np.float64], shape: tuple[int, int]) -> None:
    low = np.maximum(boxes[:, :2], -0.5)
    high = np.minimum(boxes[:, 2:], np.array(shape) - 0.5)
    if not (high - low > 0).all():  # NaN is refused, too
        raise PromptError("The box covers no pixel of the image: draw it larger, inside the image.")


def _pixels(mask: ArrayLike | Mask) -> NDArray[np.bool_]:
    pixels = mask.crop if isinstance(mask, Mask) else mask
    return _array(pixels, bool, "A mask prompt is an array of pixels (rows, columns)")


def _check_mask(mask: NDArray[np.bool_] | Mask | None, shape: tuple[int, int]) -> None:
    if mask is None:
        return
    if mask.shape != shape:
        raise PromptError(f"The outline is made for {mask.shape} pixels, the frame has {shape}.")
    if not (mask.crop if isinstance(mask, Mask) else mask).any():
        raise PromptError("The outline encloses no pixel: draw it larger, inside the image.")


def _same_pixels(mask: NDArray[np.bool_] | None, earlier: NDArray[np.bool_] | None) -> bool:
    if mask is None or earlier is None or mask is earlier:
        return mask is earlier
    return np.array_equal(mask, earlier)


def _same_outline(outline: Mask | None, earlier: Mask | None) -> bool:
    if outline is None or earlier is None or outline is earlier:
        return outline is earlier
    return outline.box == earlier.box and np.array_equal(outline.crop, earlier.crop)

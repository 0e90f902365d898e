"""Boxes and outlines drawn as shapes, and the pixels in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from ..values import Box, Corners, FrameIndex, Mask, is_large
from .axes import split_coordinates

OutlineKind = Literal["rectangle", "ellipse", "polygon", "path", "line"]

_ELLIPSE_VERTICES = 128


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One shape."""

    vertices: NDArray[np.float64]  # (V, ndim) in pixels of the image; of an ellipse, its corners
    kind: OutlineKind
    object_id: int

    @property
    def frame_index(self) -> FrameIndex | None:
        """The index of the frame it lies on, or None if it lies on several."""
        frame_indices = set(split_coordinates(self.vertices)[0])
        return frame_indices.pop() if len(frame_indices) == 1 else None

    @property
    def corners(self) -> NDArray[np.float64]:
        """Rows and columns of the vertices, (V, 2)."""
        return self.vertices[:, -2:]

    @property
    def extent(self) -> Corners:
        """The box around it."""
        (top, left), (bottom, right) = self.corners.min(axis=0), self.corners.max(axis=0)
        return float(top), float(left), float(bottom), float(right)


def is_box(outline: Outline) -> bool:
    """Tell whether it is a rectangle along rows and columns; a turned one is an outline."""
    if outline.kind != "rectangle":
        return False
    top, left, bottom, right = outline.extent
    rows, cols = outline.corners.T
    return bool(
        (np.isclose(rows, top) | np.isclose(rows, bottom)).all()
        and (np.isclose(cols, left) | np.isclose(cols, right)).all()
    )


def covers(outline: Outline, shape: tuple[int, ...]) -> bool:
    """Tell whether the box around an outline lies partly on an image (H, W)."""
    top, left, bottom, right = outline.extent
    height = min(bottom, shape[0] - 0.5) - max(top, -0.5)
    width = min(right, shape[1] - 0.5) - max(left, -0.5)
    return height > 0 and width > 0


def rasterized(outlines: Iterable[Outline], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Fill the outlines, a path as if it were closed, and clip them to an image (H, W)."""
    mask = np.zeros(shape, bool)
    for outline in outlines:
        rows, cols = _contour(outline).T
        mask[polygon(rows, cols, shape)] = True
    return mask


def drawn_mask(outlines: Sequence[Outline], shape: tuple[int, int]) -> NDArray[np.bool_] | Mask:
    """Fill the outlines on a frame (H, W); of a large frame, only the part they are on is held."""
    if not is_large(shape):
        return rasterized(outlines, shape)
    contours = [_contour(outline) for outline in outlines]
    vertices = np.clip(np.concatenate(contours), 0, np.array(shape) - 1)
    top, left = (int(side) for side in np.floor(vertices.min(axis=0)))
    bottom, right = (int(side) + 1 for side in np.ceil(vertices.max(axis=0)))
    crop = np.zeros((bottom - top, right - left), bool)
    for contour in contours:
        rows, cols = contour.T
        crop[polygon(rows - top, cols - left, crop.shape)] = True
    return Mask(crop, Box(top, left, bottom, right), shape)


def _contour(outline: Outline) -> NDArray[np.float64]:
    """Return the vertices of a polygon, (V, 2)."""
    if outline.kind != "ellipse":
        return outline.corners
    center = outline.corners.mean(axis=0)
    down = (outline.corners[1] - outline.corners[0]) / 2
    across = (outline.corners[3] - outline.corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_VERTICES, endpoint=False)[:, None]
    return center + np.cos(angle) * down + np.sin(angle) * across

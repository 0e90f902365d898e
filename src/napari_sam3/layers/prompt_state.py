"""All prompts of a session as a value, and how they read as prompts of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from ..values import Box, FrameIndex, Key, Mask, Prompts, is_large
from .axes import are_inside, is_inside, split_coordinates

OutlineKind = Literal["rectangle", "ellipse", "polygon", "path", "line"]

_ELLIPSE_VERTICES = 128


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One shape."""

    vertices: NDArray[np.float64]  # (V, ndim) in pixels of the image; of an ellipse, its corners
    kind: OutlineKind
    object_id: int

    @property
    def place(self) -> FrameIndex | None:
        """The place of the frame it lies on, or None if it lies on several."""
        places = set(split_coordinates(self.vertices)[0])
        return places.pop() if len(places) == 1 else None

    @property
    def corners(self) -> NDArray[np.float64]:
        """Rows and columns of the vertices, (V, 2)."""
        return self.vertices[:, -2:]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The box around it: row, column, row, column."""
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
    """Fill the outlines on a frame (H, W); of a large one, only the part they are on is held."""
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


@dataclass(slots=True, eq=False)
class _Rows:
    """What was said about one object on one frame."""

    points: list[int] = field(default_factory=list)  # rows of `PromptState.points`
    outlines: list[Outline] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class PromptSnapshot:
    """All points and outlines, of every object on every frame."""

    shape: tuple[int, ...]  # of the image, without its colour axis
    points: NDArray[np.float64]  # (N, ndim) in pixels of the image
    objects: NDArray[np.int64]  # (N,) object id of each point
    positive: NDArray[np.bool_]  # (N,) whether each point is inside its object
    outlines: tuple[Outline, ...]

    @property
    def empty_boxes(self) -> list[Outline]:
        """The boxes that cover no pixel of the image."""
        plane = self.shape[-2:]
        return [one for one in self.outlines if is_box(one) and not covers(one, plane)]

    @property
    def keys(self) -> frozenset[Key[FrameIndex]]:
        """The frames and objects about which something is said."""
        return frozenset(self._rows)

    def prompts(
        self, keys: Iterable[Key[FrameIndex]] | None = None
    ) -> dict[Key[FrameIndex], Prompts]:
        """Read the prompts of every frame and object, or of those that are asked for.

        Points and outlines that lie on no frame of the image are left out, and so are boxes that
        cover no pixel.
        """
        wanted = self._rows if keys is None else [key for key in keys if key in self._rows]
        return {key: self._read(self._rows[key]) for key in wanted}

    def keys_that_differ(self, other: PromptSnapshot) -> frozenset[Key[FrameIndex]]:
        """Return the frames and objects about which the other state says something else."""
        mine, theirs = self._content, other._content
        return frozenset(
            key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)
        )

    def has_owners_of(self, other: PromptSnapshot) -> bool:
        """Whether the same objects own the points and outlines, with the same signs."""
        return (
            np.array_equal(self.objects, other.objects)
            and np.array_equal(self.positive, other.positive)
            and [one.object_id for one in self.outlines]
            == [one.object_id for one in other.outlines]
        )

    @cached_property
    def _rows(self) -> dict[Key[FrameIndex], _Rows]:
        rows: dict[Key[FrameIndex], _Rows] = {}
        on_frame = are_inside(self.points[:, :-2], self.shape[:-2])
        on_frame &= np.isfinite(self.points).all(axis=1)
        places, _ = split_coordinates(self.points)
        for index in np.flatnonzero(on_frame).tolist():
            key = places[index], int(self.objects[index])
            rows.setdefault(key, _Rows()).points.append(index)
        empty = self.empty_boxes
        for outline in (one for one in self.outlines if one not in empty):
            where = outline.place
            if where is not None and is_inside(where, self.shape):
                rows.setdefault((where, outline.object_id), _Rows()).outlines.append(outline)
        return rows

    @cached_property
    def _content(self) -> dict[Key[FrameIndex], tuple[Any, ...]]:
        return {
            key: (
                self.points[rows.points].tobytes(),
                self.positive[rows.points].tobytes(),
                [(outline.kind, outline.vertices.tobytes()) for outline in rows.outlines],
            )
            for key, rows in self._rows.items()
        }

    def _read(self, rows: _Rows) -> Prompts:
        height, width = self.shape[-2:]
        drawn = [outline for outline in rows.outlines if not is_box(outline)]
        return Prompts(
            points=self.points[rows.points, -2:],
            positive=self.positive[rows.points],
            boxes=[outline.extent for outline in rows.outlines if is_box(outline)],
            mask=drawn_mask(drawn, (height, width)) if drawn else None,
        )

"""All prompts of a session as a value, and how they read as prompts of the engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine import Prompts
from .axes import Place, are_inside, is_inside, split_coordinates
from .outlines import Outline, covers, drawn_mask, is_box

Key = tuple[Place, int]
"""The place of a frame and the id of an object."""


@dataclass(slots=True, eq=False)
class _Rows:
    """What was said about one object on one frame."""

    points: list[int] = field(default_factory=list)  # rows of `PromptState.points`
    outlines: list[Outline] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class PromptState:
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
    def keys(self) -> frozenset[Key]:
        """The frames and objects about which something is said."""
        return frozenset(self._rows)

    def prompts(self, keys: Iterable[Key] | None = None) -> dict[Key, Prompts]:
        """Read the prompts of every frame and object, or of those that are asked for.

        Points and outlines that lie on no frame of the image are left out, and so are boxes that
        cover no pixel.
        """
        wanted = self._rows if keys is None else [key for key in keys if key in self._rows]
        return {key: self._read(self._rows[key]) for key in wanted}

    def keys_that_differ(self, other: PromptState) -> frozenset[Key]:
        """Return the frames and objects about which the other state says something else."""
        mine, theirs = self._content, other._content
        return frozenset(
            key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)
        )

    def has_owners_of(self, other: PromptState) -> bool:
        """Whether the same objects own the points and outlines, with the same signs."""
        return (
            np.array_equal(self.objects, other.objects)
            and np.array_equal(self.positive, other.positive)
            and [one.object_id for one in self.outlines]
            == [one.object_id for one in other.outlines]
        )

    @cached_property
    def _rows(self) -> dict[Key, _Rows]:
        rows: dict[Key, _Rows] = {}
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
    def _content(self) -> dict[Key, tuple[Any, ...]]:
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

"""The Points and the Shapes layer that hold the prompts, and what they say at one moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from napari.layers import Image, Points, Shapes
from napari.layers.base import ActionType
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from ..values import FrameIndex, Key, PromptError, Prompts, is_large
from .axes import are_inside, data_shape, geometry, is_inside, split_coordinates
from .outlines import Outline, covers, drawn_mask, is_box

_DONE = (ActionType.ADDED, ActionType.CHANGED, ActionType.REMOVED)
_NO_AREA = "The box covers no pixel of the image: draw it larger, inside the image."
_OUTSIDE = "The point lies outside the image: click inside it."


class PromptLayers:
    """Prompts of all objects on all frames of an image.

    The layers are made here and lie exactly on the image; who made this adds them to a viewer.
    Only the prompts of the current object are shown, and only they can be selected.

    Parameters
    ----------
    image : Image
        The layer that is prompted on.

    Attributes
    ----------
    snapshot : PromptSnapshot
        All prompts since the last change, without a shape that is still being drawn.
    """

    changed = Signal(object)  # a PromptChange
    refused = Signal(str)  # why a point or a box that was just added does not count

    def __init__(self, image: Image) -> None:
        self.image = image
        self._shape = data_shape(image)
        self._style = PromptStyle(self._shape)
        self._current = 1
        self._is_positive = True
        self._is_rewriting = False
        features = {"object": np.zeros(0, np.int64), "positive": np.zeros(0, bool)}
        self.points = Points(
            ndim=image.ndim,
            name=f"{image.name} points",
            features=features,
            feature_defaults={"object": 1, "positive": True},
            **self._style.of_points,
            **geometry(image),
        )
        self.shapes = Shapes(
            ndim=image.ndim,
            name=f"{image.name} outlines",
            features={"object": features["object"]},
            feature_defaults={"object": 1},
            **geometry(image),
        )
        self.snapshot = self._read_layers()
        self._set_defaults()
        self._connect()

    @property
    def current_object(self) -> int:
        """The object whose prompts are shown, and which new prompts belong to."""
        return self._current

    @current_object.setter
    def current_object(self, object_id: int) -> None:
        self._finish_shape()
        self._current = object_id
        self._set_defaults()
        self.points.selected_data = set()
        self.shapes.selected_data = set()
        self._show_current()

    @property
    def object_color(self) -> tuple[float, ...]:
        """Colour of the current object, RGBA in 0..1, which its outlines are drawn in."""
        return self._style.color

    @object_color.setter
    def object_color(self, color: tuple[float, ...]) -> None:
        self._style.color = color
        self._set_defaults()
        self._show_current()

    @property
    def is_positive(self) -> bool:
        """Whether the next point is inside the object."""
        return self._is_positive

    @is_positive.setter
    def is_positive(self, is_positive: bool) -> None:
        self._is_positive = is_positive
        self._set_defaults()

    def add_point(self, coordinates: ArrayLike, positive: bool) -> None:
        """Add a point of the current object, at (ndim,) data pixels of the image."""
        point = np.asarray(coordinates, np.float64)
        if not are_inside(point[None], self._shape)[0]:
            raise PromptError(_OUTSIDE)
        before, self._is_positive = self._is_positive, positive
        try:
            self.points.add(point)
        finally:
            if positive != before:
                self.is_positive = before

    def restore(self, snapshot: PromptSnapshot) -> None:
        """Replace all prompts by those of a snapshot."""
        with self._single_change():
            self.points.selected_data = set()
            self.points.data = snapshot.points
            self.points.features = {"object": snapshot.objects, "positive": snapshot.positive}
            self.shapes.selected_data = set()
            self.shapes.data = [(shape.vertices, shape.kind) for shape in snapshot.outlines]
            self.shapes.features = {"object": [shape.object_id for shape in snapshot.outlines]}

    def remove_objects(self, object_ids: Collection[int]) -> None:
        """Delete all prompts of objects."""
        with self._single_change():
            for layer in (self.points, self.shapes):
                owned = np.isin(_owners(layer), list(object_ids))
                layer.remove(np.flatnonzero(owned).tolist())

    def _connect(self) -> None:
        self.points.events.data.connect(self._on_points_changed)
        self.points.events.features.connect(self._on_features_changed)
        self.points.selected_data.events.items_changed.connect(self._on_points_selected)
        self.shapes.events.data.connect(self._on_shapes_changed)
        self.shapes.events.features.connect(self._on_features_changed)
        self.shapes.selected_data.events.items_changed.connect(self._on_shapes_selected)

    def _on_points_changed(self, event: Any) -> None:
        if self._is_rewriting:
            return
        if event.action == ActionType.ADDING:
            self._set_defaults()
        if event.action == ActionType.ADDED:
            self._remove_points_outside(event.data_indices)
        if event.action in _DONE:
            self._announce()

    def _on_shapes_changed(self, event: Any) -> None:
        if self._is_rewriting:
            return
        if event.action == ActionType.ADDING:
            self._set_defaults()
        if event.action in _DONE:
            self._drop_orphaned_row(event.data_indices)
            self._announce()

    def _on_features_changed(self) -> None:
        if not self._is_rewriting and self._are_owners_new():
            self._show_current()
            self._announce()

    def _on_points_selected(self) -> None:
        if len(self.points.data) > len(self.snapshot.points):
            self._assign_pasted(self.points, len(self.snapshot.points))
        self._deselect_hidden(self.points)

    def _on_shapes_selected(self) -> None:
        if not self.shapes._is_creating and self.shapes.nshapes > len(self.snapshot.outlines):
            self._assign_pasted(self.shapes, len(self.snapshot.outlines))
        self._deselect_hidden(self.shapes)

    def _announce(self) -> None:
        before, self.snapshot = self.snapshot, self._read_layers()
        if len(self.snapshot.empty_boxes) > len(before.empty_boxes):
            self.refused.emit(_NO_AREA)
        keys = self.snapshot.keys_that_differ(before)
        if keys:
            self.changed.emit(PromptChange(before, self.snapshot, keys))

    @contextmanager
    def _single_change(self) -> Iterator[None]:
        """Announce all that happens inside as one change."""
        self._finish_shape()
        self._is_rewriting = True
        try:
            yield
        finally:
            self._is_rewriting = False
        self._set_defaults()
        self._show_current()
        self._announce()

    def _read_layers(self) -> PromptSnapshot:
        owners = _owners(self.shapes)
        rows = zip(self.shapes.data, self.shapes.shape_type, owners, strict=False)
        outlines = [Outline(np.array(data, float), kind, int(owner)) for data, kind, owner in rows]
        if self._drawn_shape is not None:
            del outlines[self._drawn_shape : self._drawn_shape + 1]
        return PromptSnapshot(
            shape=self._shape,
            points=np.array(self.points.data, np.float64),
            objects=np.array(self.points.features["object"], np.int64),
            positive=np.array(self.points.features["positive"], bool),
            outlines=tuple(outlines),
        )

    def _are_owners_new(self) -> bool:
        """Whether prompts have another object or sign than in the snapshot."""
        signs = np.asarray(self.points.features["positive"], bool)
        owners = _owners(self.shapes)[: self.shapes.nshapes]
        if self._drawn_shape is not None:
            owners = np.delete(owners, self._drawn_shape)
        return not (
            np.array_equal(_owners(self.points), self.snapshot.objects)
            and np.array_equal(signs, self.snapshot.positive)
            and owners.tolist() == [shape.object_id for shape in self.snapshot.outlines]
        )

    @property
    def _drawn_shape(self) -> int | None:
        """Row of the shape that is being drawn."""
        return self.shapes._moving_value[0] if self.shapes._is_creating else None

    def _set_defaults(self) -> None:
        """Let what is added next belong to the current object; napari forgets on any selection."""
        self.points.feature_defaults = {"object": self._current, "positive": self._is_positive}
        self.shapes.feature_defaults = {"object": self._current}
        self._style.set_next(self.points, self.shapes, self._is_positive)

    def _show_current(self) -> None:
        self._style.show_only(self.points, _owners(self.points) == self._current)
        self._style.show_only_outlines(self.shapes, _owners(self.shapes) == self._current)

    def _remove_points_outside(self, indices: Iterable[int]) -> None:
        rows = np.arange(len(self.points.data))[list(indices)]
        outside = rows[~are_inside(self.points.data[rows], self._shape)]
        if len(outside):
            self.points.remove(outside.tolist())
            self.refused.emit(_OUTSIDE)

    def _drop_orphaned_row(self, indices: tuple[int, ...]) -> None:
        """Delete the row of a shape that napari deleted without it, as on giving up a polygon."""
        features = self.shapes.features
        if len(features) <= self.shapes.nshapes:
            return
        view, row = self.shapes._data_view, range(len(features))[indices[0]]
        view._edge_color = np.delete(view._edge_color, row, axis=0)
        view._face_color = np.delete(view._face_color, row, axis=0)
        self.shapes.features = features.drop(index=row)

    def _finish_shape(self) -> None:
        """Close the shape that is being drawn, or drop it if it encloses nothing yet."""
        if self.shapes._is_creating:
            self.shapes._finish_drawing()

    def _assign_pasted(self, layer: Points | Shapes, count: int) -> None:
        """Give pasted rows to the current object: napari adds them without an event of data."""
        if self._is_rewriting:
            return
        features = layer.features.copy()
        features.loc[count:, "object"] = self._current
        with self._single_change():
            layer.features = features

    def _deselect_hidden(self, layer: Points | Shapes) -> None:
        if not layer.selected_data:
            return
        owners = _owners(layer)
        hidden = {index for index in layer.selected_data if owners[index] != self._current}
        if hidden:
            layer.selected_data.difference_update(hidden)


_GREEN = (0.2, 0.9, 0.3, 1.0)
_RED = (1.0, 0.2, 0.2, 1.0)
_RING = (1.0, 1.0, 1.0, 1.0)  # seen on any mask
_DISC, _CROSS = "disc", "x"
_ON_SCREEN = (0, 22)  # pixels of the canvas; any more than 0 would show napari's empty point
_FILL = 0.15  # opacity inside an outline


class PromptStyle:
    """Sizes and colours of the points and outlines on an image.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image, rows and columns last.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.color: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)  # RGBA of the current object
        self._size = max(1.0, min(shape[-2:]) / 40)  # of a point, in pixels of the image
        # A large image is zoomed in on, where an edge in proportion would cover cells.
        self._edge = 1.0 if is_large(shape) else max(0.5, min(shape[-2:]) / 300)

    @property
    def of_points(self) -> dict[str, Any]:
        """Arguments for a new Points layer."""
        return {
            "size": self._size,
            "canvas_size_limits": _ON_SCREEN,
            "border_width": 0.15,
            "opacity": 0.9,
        }

    def set_next(self, points: Points, shapes: Shapes, positive: bool) -> None:
        """Style the next point and the next shape; what is selected stays as it is."""
        with points.block_update_properties():
            points.current_size = self._size
            points.current_symbol = _DISC if positive else _CROSS
            points.current_face_color = _GREEN if positive else _RED
            points.current_border_color = _RING
        with shapes.block_update_properties():
            shapes.current_edge_width = self._edge
            shapes.current_edge_color = self.color
            shapes.current_face_color = (*self.color[:3], _FILL)

    def show_only(self, points: Points, shown: NDArray[np.bool_]) -> None:
        """Show some of the points, (N,), each as its sign demands.

        napari does not hide points where all axes are displayed, so the rest also gets no size.
        """
        if not len(shown):
            return
        positive = np.asarray(points.features["positive"], bool)
        face = np.where(positive[:, None], _GREEN, _RED)
        points.symbol = np.where(positive, _DISC, _CROSS)
        points.face_color = np.where(shown[:, None], face, 0)
        points.border_color = np.where(shown[:, None], _RING, 0)
        points.size = np.where(shown, self._size, 0)
        points.shown = shown

    def show_only_outlines(self, shapes: Shapes, shown: NDArray[np.bool_]) -> None:
        """Show some of the shapes, (N,), above the rest, which becomes transparent."""
        if not len(shown):
            return
        shapes.edge_color = np.where(shown[:, None], self.color, 0)
        shapes.face_color = np.where(shown[:, None], (*self.color[:3], _FILL), 0)
        if set(shapes.edge_width) != {self._edge}:
            shapes.edge_width = self._edge
        for index in np.flatnonzero(shown != np.array(shapes.z_index)):
            shapes._data_view.update_z_index(index, int(shown[index]))


@dataclass(frozen=True, eq=False)
class PromptSnapshot:
    """All points and outlines at one moment, of every object on every frame."""

    shape: tuple[int, ...]  # of the image, without its colour axis
    points: NDArray[np.float64]  # (N, ndim) in pixels of the image
    objects: NDArray[np.int64]  # (N,) object id of each point
    positive: NDArray[np.bool_]  # (N,) whether each point is inside its object
    outlines: tuple[Outline, ...]

    @cached_property
    def empty_boxes(self) -> list[Outline]:
        """The boxes that cover no pixel of the image."""
        plane = self.shape[-2:]
        return [shape for shape in self.outlines if is_box(shape) and not covers(shape, plane)]

    @property
    def keys(self) -> frozenset[Key[FrameIndex]]:
        """The frames and objects that have prompts."""
        return frozenset(self._rows)

    def prompts(
        self, keys: Iterable[Key[FrameIndex]] | None = None
    ) -> dict[Key[FrameIndex], Prompts]:
        """Return the prompts of every frame and object, or of those with these keys.

        Points and outlines that lie on no frame of the image are left out, and so are boxes that
        cover no pixel.
        """
        wanted = self._rows if keys is None else [key for key in keys if key in self._rows]
        return {key: self._prompts_of(self._rows[key]) for key in wanted}

    def keys_that_differ(self, before: PromptSnapshot) -> frozenset[Key[FrameIndex]]:
        """Return the frames and objects that have other prompts than before."""
        mine, theirs = self._content, before._content
        differing = {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}
        return frozenset(differing)

    def of_objects(self, object_ids: Collection[int]) -> Self:
        """Return the prompts of some objects alone."""
        kept = np.isin(self.objects, list(object_ids))
        return replace(
            self,
            points=self.points[kept],
            objects=self.objects[kept],
            positive=self.positive[kept],
            outlines=tuple(shape for shape in self.outlines if shape.object_id in object_ids),
        )

    @cached_property
    def _rows(self) -> dict[Key[FrameIndex], _Rows]:
        rows: dict[Key[FrameIndex], _Rows] = {}
        on_frame = are_inside(self.points[:, :-2], self.shape[:-2])
        on_frame &= np.isfinite(self.points).all(axis=1)
        frame_indices, _ = split_coordinates(self.points)
        for index in np.flatnonzero(on_frame).tolist():
            key = frame_indices[index], int(self.objects[index])
            rows.setdefault(key, _Rows()).points.append(index)
        for outline in self.outlines:
            frame_index = None if outline in self.empty_boxes else outline.frame_index
            if frame_index is not None and is_inside(frame_index, self.shape):
                rows.setdefault((frame_index, outline.object_id), _Rows()).outlines.append(outline)
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

    def _prompts_of(self, rows: _Rows) -> Prompts:
        height, width = self.shape[-2:]
        drawn = [outline for outline in rows.outlines if not is_box(outline)]
        return Prompts(
            points=self.points[rows.points, -2:],
            positive=self.positive[rows.points],
            boxes=[outline.extent for outline in rows.outlines if is_box(outline)],
            mask=drawn_mask(drawn, (height, width)) if drawn else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class PromptChange:
    """What one event changed in the prompts."""

    before: PromptSnapshot
    after: PromptSnapshot
    keys: frozenset[Key[FrameIndex]]  # frames and objects whose prompts differ


@dataclass(slots=True, eq=False)
class _Rows:
    """The prompts of one object on one frame."""

    points: list[int] = field(default_factory=list)  # rows of `PromptSnapshot.points`
    outlines: list[Outline] = field(default_factory=list)


def _owners(layer: Points | Shapes) -> NDArray[np.int64]:
    return np.asarray(layer.features["object"], np.int64)


def import_tables() -> None:
    """Let napari import what it keeps features in, which takes a second, before the first click."""
    Points(np.zeros((1, 2)), features={"object": [0]})

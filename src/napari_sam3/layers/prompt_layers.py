"""The Points and the Shapes layer in which a user prompts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image, Points, Shapes
from napari.layers.base import ActionType
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from ..values import FrameIndex, Key, PromptError, Prompts, is_large
from .axes import are_inside, data_shape, geometry
from .prompt_state import Outline, PromptSnapshot

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
        # A large image is looked at from near, where an edge in proportion would cover cells.
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
        """Choose how the next point and the next shape look; what is selected stays as it is."""
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

        napari does not hide points where all axes are displayed, so the others also get no size.
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
        """Show some of the shapes, (N,), above the others, which become transparent."""
        if not len(shown):
            return
        shapes.edge_color = np.where(shown[:, None], self.color, 0)
        shapes.face_color = np.where(shown[:, None], (*self.color[:3], _FILL), 0)
        if set(shapes.edge_width) != {self._edge}:
            shapes.edge_width = self._edge
        for index in np.flatnonzero(shown != np.array(shapes.z_index)):
            shapes._data_view.update_z_index(index, int(shown[index]))


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
    """

    changed = Signal(frozenset)  # the keys, (place, object id), whose prompts are not as before
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
        self._state = self.snapshot()
        self._set_defaults()
        self._connect()

    @property
    def current_object(self) -> int:
        """The object whose prompts are shown, and which new ones belong to."""
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
    def is_positive(self, sign: bool) -> None:
        self._is_positive = sign
        self._set_defaults()

    def add_point(self, coordinates: ArrayLike, positive: bool) -> None:
        """Add a point of the current object, at (ndim,) data pixels of the image."""
        point = np.asarray(coordinates, np.float64)
        if not are_inside(point[None], self._shape)[0]:
            raise PromptError(_OUTSIDE)
        next_sign, self.is_positive = self.is_positive, positive
        try:
            self.points.add(point)
        finally:
            self.is_positive = next_sign

    def prompts(
        self, keys: Iterable[Key[FrameIndex]] | None = None
    ) -> dict[Key[FrameIndex], Prompts]:
        """Read the prompts of every frame and object, or of those that are asked for."""
        return self.snapshot().prompts(keys)

    def snapshot(self) -> PromptSnapshot:
        """Copy all prompts, without a shape that is still being drawn."""
        drawn = self.shapes._moving_value[0] if self.shapes._is_creating else None
        owners = self.shapes.features["object"]
        rows = zip(self.shapes.data, self.shapes.shape_type, owners, strict=False)
        outlines = [Outline(np.array(data, float), kind, int(owner)) for data, kind, owner in rows]
        return PromptSnapshot(
            shape=self._shape,
            points=np.array(self.points.data, np.float64),
            objects=np.array(self.points.features["object"], np.int64),
            positive=np.array(self.points.features["positive"], bool),
            outlines=tuple(one for index, one in enumerate(outlines) if index != drawn),
        )

    def restore(self, state: PromptSnapshot) -> None:
        """Put the prompts back as they were copied."""
        with self._single_change():
            self.points.selected_data = set()
            self.points.data = state.points
            self.points.features = {"object": state.objects, "positive": state.positive}
            self.shapes.selected_data = set()
            self.shapes.data = [(one.vertices, one.kind) for one in state.outlines]
            self.shapes.features = {"object": [one.object_id for one in state.outlines]}

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
            self._take_out_strays(event.data_indices)
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
        if not self._is_rewriting and not self.snapshot().has_owners_of(self._state):
            self._show_current()
            self._announce()

    def _on_points_selected(self) -> None:
        self._assign_pasted(self.points, len(self._state.points))
        self._deselect_hidden(self.points)

    def _on_shapes_selected(self) -> None:
        if not self.shapes._is_creating:
            self._assign_pasted(self.shapes, len(self._state.outlines))
        self._deselect_hidden(self.shapes)

    def _set_defaults(self) -> None:
        """Let what is added next belong to the current object; napari forgets on any selection."""
        self.points.feature_defaults = {"object": self._current, "positive": self._is_positive}
        self.shapes.feature_defaults = {"object": self._current}
        self._style.set_next(self.points, self.shapes, self._is_positive)

    def _show_current(self) -> None:
        self._style.show_only(self.points, _owners(self.points) == self._current)
        self._style.show_only_outlines(self.shapes, _owners(self.shapes) == self._current)

    def _take_out_strays(self, indices: Iterable[int]) -> None:
        rows = np.arange(len(self.points.data))[list(indices)]
        strays = rows[~are_inside(self.points.data[rows], self._shape)]
        if len(strays):
            self.points.remove(strays.tolist())
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
        if self._is_rewriting or len(layer.data) <= count:
            return
        features = layer.features.copy()
        features.loc[count:, "object"] = self._current
        with self._single_change():
            layer.features = features

    def _deselect_hidden(self, layer: Points | Shapes) -> None:
        owners = _owners(layer)
        hidden = {one for one in layer.selected_data if owners[one] != self._current}
        if hidden:
            layer.selected_data.difference_update(hidden)

    def _announce(self) -> None:
        before, self._state = self._state, self.snapshot()
        if len(self._state.empty_boxes) > len(before.empty_boxes):
            self.refused.emit(_NO_AREA)
        differing = self._state.keys_that_differ(before)
        if differing:
            self.changed.emit(differing)

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


def import_tables() -> None:
    """Let napari import what it keeps features in, which takes a second, before the first click."""
    Points(np.zeros((1, 2)), features={"object": [0]})


def _owners(layer: Points | Shapes) -> NDArray[np.int64]:
    return np.asarray(layer.features["object"], np.int64)

"""The Shapes layer in which a user draws boxes around exemplars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Shapes
from napari.layers.base import ActionType
from numpy.typing import NDArray
from psygnal import Signal

from ..values import Corners, FrameIndex, is_large
from .axes import data_shape, geometry, is_inside
from .outlines import Outline, covers

_DONE = (ActionType.ADDED, ActionType.CHANGED, ActionType.REMOVED)
_GREEN = (0.2, 0.9, 0.3, 1.0)
_ORANGE = (1.0, 0.5, 0.1, 1.0)
_CLEAR = (0.0, 0.0, 0.0, 0.0)
_SMALLEST = 3  # pixels of the image; less is a click and not a box
_TOO_SMALL = "The box is too small: drag it around a whole object."
_OUTSIDE = "The box covers no pixel of the image: draw it inside the image."


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box around an exemplar, or around a counterexample."""

    frame_index: FrameIndex  # of the frame it lies on
    box: Corners  # in pixels of the frame
    is_positive: bool


class ExemplarLayer:
    """The boxes of one concept at a time: green around exemplars, orange around counterexamples.

    Parameters
    ----------
    image : Image
        The layer that is drawn on; the boxes lie exactly on it.
    """

    changed = Signal()  # the boxes are not as before
    refused = Signal(str)  # why a box that was just drawn does not count

    def __init__(self, image: Image) -> None:
        self._shape = data_shape(image)
        self._is_positive = True
        self._is_rewriting = False
        self._known: tuple[DrawnBox, ...] = ()
        self._edge = 1.0 if is_large(self._shape) else max(0.5, min(self._shape[-2:]) / 250)
        self.layer = Shapes(
            ndim=image.ndim,
            name=f"{image.name} exemplars",
            features={"positive": np.zeros(0, bool)},
            feature_defaults={"positive": True},
            **geometry(image),
        )
        self._set_next()
        self.layer.events.data.connect(self._on_data_changed)

    @property
    def is_positive(self) -> bool:
        """Whether the next box is around an exemplar."""
        return self._is_positive

    @is_positive.setter
    def is_positive(self, is_positive: bool) -> None:
        self._is_positive = is_positive
        self._set_next()

    def boxes(self) -> tuple[DrawnBox, ...]:
        """Read all boxes, without one that is still being drawn or that lies on no frame."""
        return tuple(box for _, box in self._read() if not _objection(box, self._shape))

    def show(self, boxes: Iterable[DrawnBox]) -> None:
        """Show these boxes instead of the present ones; nothing is announced."""
        wanted = tuple(boxes)
        if wanted == self._known:
            return
        self._is_rewriting = True
        try:
            self.layer.selected_data = set()
            self.layer.data = [(_corners(box), "rectangle") for box in wanted]
            self.layer.features = {"positive": [box.is_positive for box in wanted]}
        finally:
            self._is_rewriting = False
        self._known = wanted
        self._recolour()
        self._set_next()

    def _read(self) -> list[tuple[int, DrawnBox]]:
        layer = self.layer
        drawn = layer._moving_value[0] if layer._is_creating else None
        rows = zip(layer.data, layer.shape_type, layer.features["positive"], strict=False)
        outlines = [(Outline(np.array(data), kind, 0), bool(flag)) for data, kind, flag in rows]
        return [
            (index, DrawnBox(outline.frame_index, outline.extent, is_positive))
            for index, (outline, is_positive) in enumerate(outlines)
            if index != drawn and outline.frame_index is not None
        ]

    def _on_data_changed(self, event: Any) -> None:
        if self._is_rewriting:
            return
        if event.action == ActionType.ADDING:
            self._set_next()
        if event.action == ActionType.ADDED:
            self._refuse_strays(event.data_indices)
        if event.action in _DONE:
            self._announce()

    def _refuse_strays(self, indices: Iterable[int]) -> None:
        """Take out what was just drawn if it is no box on the image."""
        new = np.arange(self.layer.nshapes)[list(indices)]
        strays = {index: self._refusal(box) for index, box in self._read() if index in new}
        strays = {index: why for index, why in strays.items() if why}
        if not strays:
            return
        self._is_rewriting = True
        try:
            self.layer.remove(list(strays))
        finally:
            self._is_rewriting = False
        self.refused.emit(next(iter(strays.values())))

    def _refusal(self, box: DrawnBox) -> str:
        """Return why a new box is refused; napari makes a little box of a click."""
        top, left, bottom, right = box.box
        of_a_click = self.layer._normalized_vertex_radius / 2
        is_click = max(bottom - top, right - left) <= 1.01 * of_a_click
        return _TOO_SMALL if is_click else _objection(box, self._shape)

    def _announce(self) -> None:
        before, self._known = self._known, self.boxes()
        if self._known != before:
            self._recolour()
            self.changed.emit()

    def _recolour(self) -> None:
        signs = np.asarray(self.layer.features["positive"], bool)[: self.layer.nshapes]
        if len(signs) and not self.layer._is_creating:
            self.layer.edge_color = np.where(signs[:, None], _GREEN, _ORANGE)
            self.layer.face_color = np.broadcast_to(_CLEAR, (len(signs), 4))

    def _set_next(self) -> None:
        """Style the next box, and set its sign; napari forgets both on any selection."""
        layer = self.layer
        layer.feature_defaults = {"positive": self._is_positive}
        with layer.block_update_properties():
            layer.current_edge_width = self._edge
            layer.current_edge_color = _GREEN if self._is_positive else _ORANGE
            layer.current_face_color = _CLEAR


def _objection(box: DrawnBox, shape: tuple[int, ...]) -> str:
    """Return why a box is refused; an empty text where it is not."""
    outline = Outline(_corners(box), "rectangle", 0)
    if not is_inside(box.frame_index, shape) or not covers(outline, shape[-2:]):
        return _OUTSIDE
    top, left, bottom, right = box.box
    return _TOO_SMALL if min(bottom - top, right - left) < _SMALLEST else ""


def _corners(box: DrawnBox) -> NDArray[np.float64]:
    """Return the vertices, (4, ndim), in pixels of the image."""
    top, left, bottom, right = box.box
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return np.array([(*box.frame_index, *corner) for corner in corners], np.float64)

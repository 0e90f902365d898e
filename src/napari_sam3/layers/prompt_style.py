"""How prompts look: green discs inside the object, red crosses outside, outlines in its colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points, Shapes
from numpy.typing import NDArray

from .axes import is_large

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

"""A mouse that acts on a layer as napari's canvas does, without a canvas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from napari.layers import Layer
from napari.utils._test_utils import read_only_mouse_event
from napari.utils.interactions import (
    mouse_double_click_callbacks,
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

Position = Sequence[float]
"""In pixels of the layer's data."""


def click(layer: Layer, position: Position) -> None:
    drag(layer, [position])


def double_click(layer: Layer, position: Position) -> None:
    mouse_double_click_callbacks(layer, _event(layer, "double_click", position))


def move(layer: Layer, position: Position) -> None:
    mouse_move_callbacks(layer, _event(layer, "mouse_move", position))


def drag(layer: Layer, path: Sequence[Position]) -> None:
    for _ in dragging(layer, path):
        pass


def dragging(layer: Layer, path: Sequence[Position]) -> Iterator[None]:
    """Press, move, release; yields before each move and before the release."""
    mouse_press_callbacks(layer, _event(layer, "mouse_press", path[0]))
    for position in path[1:]:
        yield
        mouse_move_callbacks(layer, _event(layer, "mouse_move", position, is_dragging=True))
    yield
    mouse_release_callbacks(layer, _event(layer, "mouse_release", path[-1]))


def _event(layer: Layer, kind: str, position: Position, is_dragging: bool = False) -> object:
    return read_only_mouse_event(
        type=kind,
        is_dragging=is_dragging,
        position=tuple(layer.data_to_world(position)),
        pos=np.array(position[-2:], float) * 20,
        dims_displayed=list(layer._slice_input.displayed),
    )

"""Clicks and keys on the canvas, passed on to the controller."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np
from app_model.types import KeyCode, KeyMod
from napari.components import ViewerModel
from napari.layers import Layer

from ..controller import Controller

LEFT_BUTTON = 1
DRAG_THRESHOLD = 5  # screen pixels, as napari has it
KEYS: dict[str, int] = {
    "positive": KeyCode.KeyP,
    "negative": KeyCode.KeyN,
    "box": KeyCode.KeyB,
    "outline": KeyCode.KeyL,
    "next_hypothesis": KeyCode.KeyA,
    "next_object": KeyCode.KeyM,
    "exemplar": KeyCode.KeyE,
    "counterexample": KeyMod.Shift | KeyCode.KeyE,
    "pick": KeyCode.KeyK,
    "run": KeyCode.KeyG,
    "undo": KeyMod.CtrlCmd | KeyCode.KeyZ,
    "redo": KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ,
}
"""Keys of the actions. They work only where the canvas has the focus."""


class Canvas:
    """Listens to the canvas of one viewer from `open` to `close`.

    Keys are bound to the viewer, where those of the active layer come first, and to the prompt
    layers, where they come before napari's.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        controller: Controller,
        actions: Mapping[str, Callable[[], object]],
    ) -> None:
        self._controller = controller
        self._actions = actions
        self._bound: list[tuple[ViewerModel | Layer, int, Callable[..., Any] | None]] = []
        self._viewer = getattr(viewer, "__wrapped__", viewer)

    def open(self) -> None:
        """Take keys and clicks."""
        self.close()
        self._viewer.mouse_drag_callbacks.append(self._on_mouse_pressed)
        for provider in (self._viewer, *self._controller.prompt_layers):
            self._bind_keys(provider)
        self._controller.prompt_layer_added.connect(self._bind_keys)

    def close(self) -> None:
        """Leave keys and clicks to napari."""
        if self._on_mouse_pressed not in self._viewer.mouse_drag_callbacks:
            return
        self._viewer.mouse_drag_callbacks.remove(self._on_mouse_pressed)
        self._controller.prompt_layer_added.disconnect(self._bind_keys)
        while self._bound:
            provider, key, earlier = self._bound.pop()
            provider.bind_key(key, earlier, overwrite=True)

    def _bind_keys(self, provider: ViewerModel | Layer) -> None:
        for name, key in KEYS.items():
            action = self._actions[name]
            earlier = provider.bind_key(key, lambda _, act=action: act(), overwrite=True)
            self._bound.append((provider, key, earlier))

    def _on_mouse_pressed(self, _: ViewerModel, event: Any) -> Generator[None, None, None]:
        is_positive = self._controller.set_sign(is_opposite=event.button != LEFT_BUTTON)
        if not self._controller.takes_click():
            return
        pressed = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.linalg.norm(np.asarray(event.pos) - pressed) < DRAG_THRESHOLD:
            self._controller.click(event.position, is_positive=is_positive)

"""Prompt layers in a viewer without a window, and all they announce."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel

from napari_sam3.layers.prompt_layers import PromptLayers

SQUARE = np.array([(10, 10), (10, 30), (30, 30), (30, 10)], float)


class PromptBench:
    """Prompt layers in a viewer, and all they announced."""

    def __init__(self, shape: tuple[int, ...], **geometry: Any) -> None:
        self.viewer = ViewerModel()
        image = self.viewer.add_image(np.zeros(shape), **geometry)
        self.prompts = PromptLayers(image)
        self.viewer.add_layer(self.prompts.points)
        self.viewer.add_layer(self.prompts.shapes)
        self.heard: list[list[Any]] = []
        self.refusals: list[str] = []
        self.prompts.changed.connect(lambda change: self.heard.append(sorted(change.keys)))
        self.prompts.refused.connect(self.refusals.append)

    def draw(self, mode: str) -> None:
        self.viewer.layers.selection.active = self.prompts.shapes
        self.prompts.shapes.mode = mode

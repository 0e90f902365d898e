"""Where the layers of a workspace lie in a viewer, and which of them is being drawn on."""

from __future__ import annotations

from typing import Literal

from napari.components import ViewerModel
from napari.layers import Layer

from .workspace import Workspace

Tool = Literal["positive", "negative", "box", "outline"]
SHAPE_MODES = {"box": "add_rectangle", "outline": "add_polygon_lasso"}


class Arrangement:
    """Puts masks over their image and prompts over the masks."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer

    def show_prompts(self, workspace: Workspace) -> list[Layer]:
        """Add the prompt layers that the viewer lacks, on top, and return them."""
        layers: list[Layer] = [workspace.prompts.shapes, workspace.prompts.points]
        missing = [layer for layer in layers if layer not in self._viewer.layers]
        for layer in missing:
            self._viewer.add_layer(layer)
        return missing

    def show_result(self, workspace: Workspace, result: Layer) -> None:
        """Add a layer of masks under the prompts; what is being drawn on stays so."""
        if result in self._viewer.layers:
            return
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(self._below_prompts(workspace), result)
        self._viewer.layers.selection.active = active

    def hide_result(self, result: Layer) -> None:
        """Take a layer of masks out of the viewer."""
        if result in self._viewer.layers:
            self._viewer.layers.remove(result)

    def take_up(self, workspace: Workspace, tool: Tool) -> None:
        """Make a tool ready, so that the next click or drag draws with it."""
        points, shapes = workspace.prompts.points, workspace.prompts.shapes
        if tool in SHAPE_MODES:
            self._viewer.layers.selection.active = shapes
            shapes.mode = SHAPE_MODES[tool]
            return
        self._viewer.layers.selection.active = points
        points.mode = "add"

    def lay_down(self, workspace: Workspace) -> None:
        """Let clicks on prompts that are no longer answered draw nothing."""
        for layer in (workspace.prompts.shapes, workspace.prompts.points):
            layer.mode = "pan_zoom"

    def _below_prompts(self, workspace: Workspace) -> int:
        prompts = (workspace.prompts.shapes, workspace.prompts.points)
        layers = self._viewer.layers
        return min((layers.index(one) for one in prompts if one in layers), default=len(layers))

"""Where the layers of a workspace lie in a viewer, and which of them is being drawn on."""

from __future__ import annotations

from typing import Literal

from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes

from .workspace import Workspace

FindTool = Literal["exemplar", "counterexample", "pick"]
Tool = Literal["positive", "negative", "box", "outline"] | FindTool
FIND_TOOLS: tuple[FindTool, ...] = ("exemplar", "counterexample", "pick")
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

    def show_on_top(self, layer: Layer) -> bool:
        """Add a layer over all others, and return whether it was not there before."""
        if layer in self._viewer.layers:
            return False
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active
        return True

    def draw_on(self, exemplars: Shapes) -> None:
        """Let the next drag draw the box of an exemplar."""
        self._viewer.layers.selection.active = exemplars
        exemplars.mode = "add_rectangle"

    def pick_on(self, workspace: Workspace) -> None:
        """Let clicks pick candidates: they fall on the image, and draw nothing."""
        workspace.image.mode = "pan_zoom"
        self._viewer.layers.selection.active = workspace.image

    def take_up(self, workspace: Workspace, tool: Tool) -> None:
        """Make a tool ready, so that the next click or drag draws with it."""
        points, shapes = workspace.prompts.points, workspace.prompts.shapes
        if tool in SHAPE_MODES:
            self._viewer.layers.selection.active = shapes
            shapes.mode = SHAPE_MODES[tool]
            return
        self._viewer.layers.selection.active = points
        points.mode = "add"

    def lay_down(self, image: Image, *drawn_on: Points | Shapes) -> None:
        """Let clicks on layers that are no longer answered draw nothing, but fall on the image."""
        for layer in drawn_on:
            layer.mode = "pan_zoom"
        layers = self._viewer.layers
        if layers.selection.active in drawn_on and image in layers:
            layers.selection.active = image

    def _below_prompts(self, workspace: Workspace) -> int:
        """Return where the layers that are drawn on begin above the image."""
        layers = list(self._viewer.layers)
        image = layers.index(workspace.image) if workspace.image in layers else -1
        drawn_on = [index for index, one in enumerate(layers) if isinstance(one, Points | Shapes)]
        return min((index for index in drawn_on if index > image), default=len(layers))

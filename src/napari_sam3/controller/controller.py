"""What happens when a prompt, a frame, an object or a choice changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import ArrayLike
from psygnal import Signal

from ..engine import EncodingProgress, Engine, ExemplarLibrary
from ..layers import Layout
from ..values import FramesError, PromptError, SegmentedObject, StorageError
from .annotations import CONCEPT_TOOLS, Annotations, ImageAnnotation, Tool
from .candidates import ConceptSearch, ExemplarKeeping, Picking
from .jobs import Jobs
from .prefetch import Prefetch
from .propagation import Progress, Reach
from .segmentation import ShownHypothesis
from .view import Focus


class Situation:
    """What panels show of the image in view and of its annotation."""

    def __init__(self, viewer: ViewerModel, focus: Focus, annotations: Annotations) -> None:
        self.viewer = viewer
        self.focus = focus
        self.annotations = annotations

    @property
    def images(self) -> list[Image]:
        """Images of the viewer that can be segmented."""
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    @property
    def annotation(self) -> ImageAnnotation | None:
        """The annotation of the image in view, once it has begun."""
        return self.annotations.of(self.focus.image)

    @property
    def prompt_layers(self) -> list[Layer]:
        """The layers that prompts and exemplars are drawn in, of all images."""
        return [
            layer
            for annotation in self.annotations
            for layer in (
                annotation.workspace.prompts.shapes,
                annotation.workspace.prompts.points,
                annotation.concepts.exemplars.layer,
            )
        ]

    @property
    def current(self) -> SegmentedObject | None:
        """The object that new prompts belong to."""
        return None if self.annotation is None else self.annotation.workspace.objects.current

    @property
    def starts(self) -> dict[int, list[int]]:
        """The objects prompted in the stack in view, each with its prompted frames."""
        axes = self.focus.axes
        return (
            {}
            if self.annotation is None or axes is None
            else self.annotation.propagation.starts(axes)
        )

    def progress_of(self, obj: SegmentedObject) -> str:
        """Say on how many frames of the stack an object has a mask."""
        axes = self.focus.axes
        if self.annotation is None or axes is None:
            return ""
        return f"{self.annotation.workspace.frames_done(obj, axes)} of {axes.count}"

    @property
    def is_running(self) -> bool:
        """Whether objects are being propagated."""
        return self.annotation is not None and self.annotation.propagation.is_running

    @property
    def progress(self) -> Progress | None:
        """How far the run has come, while there is one."""
        return None if self.annotation is None else self.annotation.propagation.progress

    @property
    def encoding_progress(self) -> EncodingProgress | None:
        """How far the encoding of an image has come, while that takes long."""
        return self.annotations.encoding_progress

    @property
    def score_here(self) -> float | None:
        """Score of the mask that the current object has on this frame, if it has one."""
        frame_index = self.focus.frame_index
        if self.current is None or frame_index is None:
            return None
        result = self.current.results.get(frame_index)
        return result.score if result is not None and result.area else None

    @property
    def hypothesis(self) -> ShownHypothesis | None:
        """Which mask hypothesis of the current object is shown on this frame."""
        annotation, frame_index = self.annotation, self.focus.frame_index
        if annotation is None or self.current is None or frame_index is None:
            return None
        return annotation.segmentation.shown_hypothesis((frame_index, self.current.id))


class Controller(Situation):
    """Decides what happens in one viewer while the dock is open.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer whose layers are prompts and results.
    jobs : Jobs
        Runs the engine beside the main thread.
    load : callable
        Returns the engine; called by workers, any number of times.
    """

    changed = Signal()  # anything a panel shows may have changed
    failed = Signal(str)  # a sentence for the user
    prompt_layer_added = Signal(Layer)

    def __init__(self, viewer: ViewerModel, jobs: Jobs, load: Callable[[], Engine]) -> None:
        # Plugins are given a proxy, in which no layer is the layer itself.
        viewer = getattr(viewer, "__wrapped__", viewer)
        focus = Focus(viewer)
        super().__init__(viewer, focus, Annotations(viewer, focus, jobs, load))
        self.tool: Tool = "positive"
        self.annotations.prompted.connect(self._on_changed)
        self.annotations.changed.connect(self._on_focus_moved)
        self.annotations.failed.connect(self._on_failed)
        self.search = ConceptSearch(viewer, self.focus, self.annotations)
        self.prefetch = Prefetch(self.focus, self.annotations, jobs)
        self.picking = Picking(self.search, self.focus, self.annotations)
        self.keeping = ExemplarKeeping(self.search, ExemplarLibrary())
        for part in (self.search, self.picking, self.keeping, self.prefetch):
            part.changed.connect(self._on_changed)
            part.failed.connect(self._on_failed)
        self.search.tool_wanted.connect(self.choose_tool)
        self.search.layer_added.connect(self._on_prompt_layer_added)
        self.focus.moved.connect(self._on_focus_moved)
        self.focus.image_selected.connect(self._on_focus_moved)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self._on_layer_inserted()

    def close(self) -> None:
        """Let go of the viewer; its layers stay."""
        self.viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self.prefetch.close()
        self.focus.close()
        self.annotations.close()

    def begin(self) -> ImageAnnotation | None:
        """Make the prompt layers of the image, unless they are there."""
        image = self.focus.image
        if image is None:
            self.failed.emit("There is no image to segment: open one first.")
            return None
        annotation = self.annotations.begin(image)
        for layer in self.annotations.arrangement.show_prompts(annotation.workspace):
            self.prompt_layer_added.emit(layer)
        return annotation

    def choose_tool(self, tool: Tool) -> None:
        """Draw with another tool, or pick."""
        self.tool = tool
        if tool in CONCEPT_TOOLS:
            self.search.take_up(tool)
            return
        self.search.lay_down()
        annotation = self.begin()
        if annotation is not None:
            self.annotations.arrangement.take_up(annotation.workspace, tool)
        self.changed.emit()

    def set_sign(self, *, is_opposite: bool) -> bool:
        """Set and return the sign of the next point: that of the tool, or its opposite."""
        is_positive = (self.tool != "negative") != is_opposite
        if self.annotation is not None:
            self.annotation.workspace.prompts.is_positive = is_positive
        return is_positive

    def takes_click(self) -> bool:
        """Whether a click on the canvas is a prompt, and not for napari."""
        active = self.viewer.layers.selection.active
        if not self.focus.shows_frame or not (active is None or isinstance(active, Image)):
            return False
        return active is None or active.mode == "pan_zoom"

    def click(self, world_point: ArrayLike, *, is_positive: bool) -> None:
        """Prompt with a point of the world on the image in view, or pick a candidate there."""
        if self.tool == "pick":
            pick = self.picking.pick if is_positive else self.picking.make_object_at
            pick(world_point)
            return
        active = self.viewer.layers.selection.active
        if isinstance(active, Image) and active.visible and active not in self.focus.channels:
            self.focus.choose_image(active)
        annotation = self.begin()
        if annotation is None:
            return
        point = annotation.workspace.image.world_to_data(world_point)
        try:
            annotation.workspace.prompts.add_point(point, is_positive)
        except PromptError as error:
            self.failed.emit(str(error))
        self.annotations.arrangement.take_up(annotation.workspace, "positive")

    def show_next_hypothesis(self) -> None:
        """Show the next mask hypothesis of the object: the whole, a part, or a part of that."""
        annotation, frame_index = self.annotation, self.focus.frame_index
        if annotation is not None and self.current is not None and frame_index is not None:
            annotation.segmentation.show_next_hypothesis((frame_index, self.current.id))

    def start_next_object(self) -> None:
        """Let the next prompts belong to another object."""
        annotation = self.begin()
        if annotation is None:
            return
        annotation.workspace.start_next_object()
        self.annotations.arrangement.take_up(annotation.workspace, self.tool)
        self.changed.emit()

    def select_object(self, object_id: int) -> None:
        """Bring an object's prompts back, and go to where it is unless it is in sight."""
        axes, frame_index = self.focus.axes, self.focus.frame_index
        if self.annotation is None or axes is None or frame_index is None:
            return
        workspace = self.annotation.workspace
        workspace.objects.current = workspace.objects[object_id]
        nearest = workspace.nearest_frame(workspace.objects[object_id], axes, frame_index)
        if nearest is not None:
            self.focus.go_to(nearest)
        self.changed.emit()

    def rename_object(self, object_id: int, name: str) -> None:
        """Give an object another name, and its layer too."""
        if self.annotation is not None and object_id in self.annotation.workspace.objects:
            self.annotation.workspace.objects.rename(object_id, name)
            self.changed.emit()

    def remove_object(self, object_id: int) -> None:
        """Forget an object, its prompts and its masks."""
        if self.annotation is not None:
            self._change(partial(self.annotation.workspace.remove_objects, [object_id]))
            self.changed.emit()

    def undo(self) -> None:
        """Undo the last change of the prompts, or the last promotion of candidates."""
        if self.annotation is not None:
            self._change(self.annotation.workspace.undo)

    def redo(self) -> None:
        """Redo the change that was undone last."""
        if self.annotation is not None:
            self.annotation.workspace.redo()

    def choose_layout(self, layout: Layout) -> None:
        """Write masks to a layer for each object, or to one layer for all."""
        self.annotations.choose_layout(layout)
        self._on_focus_moved()

    def choose_overwriting(self, overwrites: bool) -> None:
        """In one layer, let objects take pixels from each other, or not."""
        self.annotations.keep_committed(not overwrites)
        self.changed.emit()

    def run(self, reach: Reach) -> None:
        """Propagate objects through the stack in view."""
        frame_index = self.focus.frame_index
        if self.annotation is None or frame_index is None:
            self.failed.emit("There is nothing to propagate yet: click an object first.")
            return
        try:
            view = self.annotations.view(self.annotation.workspace.image, frame_index)
        except FramesError as error:
            self.failed.emit(str(error))
            return
        self.prefetch.neighbours.stop()
        self.annotation.propagation.run(view, reach)
        self.changed.emit()

    def stop(self) -> None:
        """Stop the propagation, or else drop prompts that wait; encoding stops with either."""
        is_encoding = self.encoding_progress is not None
        if self.annotation is not None and self.is_running:
            self.annotation.propagation.stop()
        elif is_encoding:
            self.annotations.drop_requests()
        if is_encoding:
            self.annotations.stop_encoding()

    def _change(self, change: Callable[[], None]) -> None:
        """Change what is on disk, and report it if the disk refuses."""
        try:
            change()
        except StorageError as error:
            self.failed.emit(str(error))

    def _on_layer_inserted(self) -> None:
        active = self.viewer.layers.selection.active
        if self.focus.image is None and self.images:
            self.focus.choose_image(active if isinstance(active, Image) else self.images[-1])
        self.changed.emit()

    def _on_layer_removed(self, event: Any) -> None:
        self.prefetch.stack.let_go_of(event.value)
        if event.value is self.focus.image:
            self.focus.choose_image(self.images[-1] if self.images else None)
        self.changed.emit()

    def _on_focus_moved(self) -> None:
        annotation, frame_index = self.annotation, self.focus.frame_index
        if annotation is not None and frame_index is not None:
            annotation.workspace.show_scores(frame_index)
        self.changed.emit()

    def _on_prompt_layer_added(self, layer: Layer) -> None:
        self.prompt_layer_added.emit(layer)

    def _on_changed(self) -> None:
        self.changed.emit()

    def _on_failed(self, message: str) -> None:
        self.failed.emit(message)

"""What happens when a prompt, a frame, an object or a choice changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import ArrayLike
from psygnal import Signal

from ..engine import EncodingProgress, Engine, Library
from ..layers import Layout
from ..values import FramesError, PromptError, SegmentedObject, StorageError
from .annotations import FIND_TOOLS, Tool, Work, Works
from .candidates import ConceptSearch, Keeping, Picking
from .jobs import Jobs
from .prefetch import Prefetch
from .propagation import Progress, Reach
from .segmentation import ShownHypothesis
from .view import Focus


class Situation:
    """What panels show of the image that is looked at, and of the work on it."""

    def __init__(self, viewer: ViewerModel, focus: Focus, works: Works) -> None:
        self.viewer = viewer
        self.focus = focus
        self.works = works

    @property
    def images(self) -> list[Image]:
        """Images of the viewer that can be segmented."""
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    @property
    def work(self) -> Work | None:
        """The work on the image looked at, once it has begun."""
        return self.works.of(self.focus.image)

    @property
    def prompt_layers(self) -> list[Layer]:
        """The layers that are prompted in, of all images."""
        return [
            layer
            for work in self.works
            for layer in (
                work.workspace.prompts.shapes,
                work.workspace.prompts.points,
                work.concepts.exemplars.layer,
            )
        ]

    @property
    def current(self) -> SegmentedObject | None:
        """The object that new prompts belong to."""
        return None if self.work is None else self.work.workspace.objects.current

    @property
    def starts(self) -> dict[int, list[int]]:
        """The objects prompted in the stack that is looked at, each with its prompted frames."""
        axes = self.focus.axes
        return {} if self.work is None or axes is None else self.work.propagation.starts(axes)

    def progress_of(self, obj: SegmentedObject) -> str:
        """Say on how many frames of the stack an object has a mask."""
        axes = self.focus.axes
        if self.work is None or axes is None:
            return ""
        return f"{self.work.workspace.frames_done(obj, axes)} of {axes.count}"

    @property
    def is_running(self) -> bool:
        """Whether objects are being followed."""
        return self.work is not None and self.work.propagation.is_running

    @property
    def progress(self) -> Progress | None:
        """How far the run has come, while there is one."""
        return None if self.work is None else self.work.propagation.progress

    @property
    def encoding_progress(self) -> EncodingProgress | None:
        """How far the model has come with an image, while that takes long."""
        return self.works.encoding_progress

    @property
    def score_here(self) -> float | None:
        """Score of the mask that the current object has on this frame, if it has one."""
        place = self.focus.place
        if self.current is None or place is None:
            return None
        found = self.current.results.get(place)
        return found.score if found is not None and found.area else None

    @property
    def hypothesis(self) -> ShownHypothesis | None:
        """Which reading of the current object is shown on this frame."""
        if self.work is None or self.current is None or self.focus.place is None:
            return None
        return self.work.segmentation.shown_hypothesis((self.focus.place, self.current.id))


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
        super().__init__(viewer, focus, Works(viewer, focus, jobs, load))
        self.tool: Tool = "positive"
        self.works.changed.connect(self._on_focus_moved)
        self.works.failed.connect(self._on_failed)
        self.search = ConceptSearch(viewer, self.focus, self.works)
        self.prefetch = Prefetch(self.focus, self.works, jobs)
        self.picking = Picking(self.search, self.focus, self.works)
        self.keeping = Keeping(self.search, Library())
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
        self.works.close()

    def begin(self) -> Work | None:
        """Make the prompt layers of the image, unless they are there."""
        image = self.focus.image
        if image is None:
            self.failed.emit("There is no image to segment: open one first.")
            return None
        work = self.works.begin(image)
        for layer in self.works.arrangement.show_prompts(work.workspace):
            self.prompt_layer_added.emit(layer)
        return work

    def choose_tool(self, tool: Tool) -> None:
        """Draw with another tool, or pick."""
        self.tool = tool
        if tool in FIND_TOOLS:
            self.search.take_up(tool)
            return
        self.search.lay_down()
        work = self.begin()
        if work is not None:
            self.works.arrangement.take_up(work.workspace, tool)
        self.changed.emit()

    def choose_sign(self, *, is_opposite: bool) -> bool:
        """Set and return the sign of the next point: that of the tool, or its opposite."""
        is_positive = (self.tool != "negative") != is_opposite
        if self.work is not None:
            self.work.workspace.prompts.is_positive = is_positive
        return is_positive

    def takes_click(self) -> bool:
        """Whether a click on the canvas is a prompt, and not napari's own affair."""
        active = self.viewer.layers.selection.active
        if not self.focus.shows_frame or not (active is None or isinstance(active, Image)):
            return False
        return active is None or active.mode == "pan_zoom"

    def click(self, world_point: ArrayLike, *, is_positive: bool) -> None:
        """Prompt with a point of the world on the image that is at work, or pick there."""
        if self.tool == "pick":
            pick = self.picking.pick if is_positive else self.picking.make_object_at
            pick(world_point)
            return
        active = self.viewer.layers.selection.active
        is_other = isinstance(active, Image) and active not in self.focus.channels
        if is_other and active.visible:
            self.focus.choose_image(active)
        work = self.begin()
        if work is None:
            return
        point = work.workspace.image.world_to_data(world_point)
        try:
            work.workspace.prompts.add_point(point, is_positive)
        except PromptError as error:
            self.failed.emit(str(error))
        self.works.arrangement.take_up(work.workspace, "positive")
        self.changed.emit()

    def show_next_hypothesis(self) -> None:
        """Show another reading of the current object: the whole, a part, or a part of that."""
        if self.work is not None and self.current is not None and self.focus.place is not None:
            self.work.segmentation.show_next_hypothesis((self.focus.place, self.current.id))

    def start_next_object(self) -> None:
        """Let the next prompts belong to another object."""
        work = self.begin()
        if work is None:
            return
        work.workspace.start_next_object()
        self.works.arrangement.take_up(work.workspace, self.tool)
        self.changed.emit()

    def select_object(self, object_id: int) -> None:
        """Bring an object's prompts back, and go to where it is unless it is in sight."""
        axes, place = self.focus.axes, self.focus.place
        if self.work is None or axes is None or place is None:
            return
        workspace = self.work.workspace
        workspace.objects.current = workspace.objects[object_id]
        nearest = workspace.nearest_frame(workspace.objects[object_id], axes, place)
        if nearest is not None:
            self.focus.go_to(nearest)
        self.changed.emit()

    def rename_object(self, object_id: int, name: str) -> None:
        """Give an object another name, and its layer too."""
        if self.work is not None and object_id in self.work.workspace.objects:
            self.work.workspace.objects.rename(object_id, name)
            self.changed.emit()

    def remove_object(self, object_id: int) -> None:
        """Forget an object, its prompts and its masks."""
        if self.work is not None:
            self._change(partial(self.work.workspace.remove_objects, [object_id]))
            self.changed.emit()

    def undo(self) -> None:
        """Take back the last change of the prompts, or what was made objects since."""
        if self.work is not None:
            self._change(self.work.workspace.undo)

    def redo(self) -> None:
        """Make the change that was taken back again."""
        if self.work is not None:
            self.work.workspace.redo()

    def choose_layout(self, layout: Layout) -> None:
        """Write masks to a layer for each object, or to one layer for all."""
        self.works.choose_layout(layout)
        self._on_focus_moved()

    def choose_overwriting(self, overwrites: bool) -> None:
        """In one layer, let objects take pixels that belong to others, or not."""
        self.works.keep_committed(not overwrites)
        self.changed.emit()

    def run(self, reach: Reach) -> None:
        """Follow objects through the stack that is looked at."""
        place = self.focus.place
        if self.work is None or place is None:
            self.failed.emit("There is nothing to follow yet: click an object first.")
            return
        try:
            view = self.works.view(self.work.workspace.image, place)
        except FramesError as error:
            self.failed.emit(str(error))
            return
        self.prefetch.neighbours.stop()
        self.work.propagation.run(view, reach)
        self.changed.emit()

    def stop(self) -> None:
        """End the run, or else the questions that wait; looking at an image ends with either."""
        is_encoding = self.encoding_progress is not None
        if self.work is not None and self.is_running:
            self.work.propagation.stop()
        elif is_encoding:
            self.works.drop_requests()
        if is_encoding:
            self.works.stop_encoding()

    def _change(self, change: Callable[[], None]) -> None:
        """Change what is on disk; say so if the disk refuses."""
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
        if self.work is not None and self.focus.place is not None:
            self.work.workspace.show_scores(self.focus.place)
        self.changed.emit()

    def _on_prompt_layer_added(self, layer: Layer) -> None:
        self.prompt_layer_added.emit(layer)

    def _on_changed(self) -> None:
        self.changed.emit()

    def _on_failed(self, message: str) -> None:
        self.failed.emit(message)

"""What is annotated on each image of a viewer, from its first prompt until its layer is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from weakref import ref

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes
from psygnal import Signal

from ..engine import EncodingProgress, Engine, Session
from ..layers import (
    GEOMETRY,
    Layout,
    StackAxes,
    data_shape,
    give_own_files,
    lay_on,
    session_description,
    visible_box,
    visible_channels,
)
from ..storage import LabelStore, SessionDescription
from ..values import FrameIndex, StorageError
from .concepts import Concepts
from .detection import Detection
from .jobs import Jobs
from .propagation import Propagation
from .segmentation import Segmentation
from .view import Focus, Sessions, View, Views
from .workspace import Workspace

ConceptTool = Literal["exemplar", "counterexample", "pick"]
Tool = Literal["positive", "negative", "box", "outline"] | ConceptTool
CONCEPT_TOOLS: tuple[ConceptTool, ...] = ("exemplar", "counterexample", "pick")
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
        """Let clicks on layers that no longer take prompts draw nothing, but fall on the image."""
        for layer in drawn_on:
            layer.mode = "pan_zoom"
        layers = self._viewer.layers
        if layers.selection.active in drawn_on and image in layers:
            layers.selection.active = image

    def _below_prompts(self, workspace: Workspace) -> int:
        """Return the index at which the layers that are drawn on begin above the image."""
        layers = list(self._viewer.layers)
        image = layers.index(workspace.image) if workspace.image in layers else -1
        drawn_on = [i for i, layer in enumerate(layers) if isinstance(layer, Points | Shapes)]
        return min((i for i in drawn_on if i > image), default=len(layers))


OVERLAPPED = (
    "Objects overlapped in {} pixels, which only the first of them has now: in one layer every "
    "pixel has one object."
)


@dataclass(frozen=True, slots=True, eq=False)
class ImageAnnotation:
    """Objects and concepts of one image, and what segments, propagates and detects them."""

    workspace: Workspace
    segmentation: Segmentation
    propagation: Propagation
    concepts: Concepts
    detection: Detection


class Annotations:
    """The annotations of all images, whose layers it keeps in order."""

    begun = Signal(ImageAnnotation)
    prompted = Signal()  # prompts changed, and their masks are yet to come
    changed = Signal()  # masks, candidates, or what runs
    failed = Signal(str)

    def __init__(
        self, viewer: ViewerModel, focus: Focus, jobs: Jobs, load: Callable[[], Engine]
    ) -> None:
        self.layout: Layout = "layer per object"
        self.keeps_committed = True
        self.arrangement = Arrangement(viewer)
        self._viewer = viewer
        self._focus = focus
        self._jobs = jobs
        self._views = Views()
        self._sessions = Sessions(load)
        self._annotations: dict[Image, ImageAnnotation] = {}
        self._engine: Callable[[], Engine | None] = lambda: None
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    def close(self) -> None:
        """Stop what runs and let go of the viewer; its layers stay."""
        self._viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        for annotation in self:
            annotation.propagation.stop()
            annotation.detection.close()

    def __iter__(self) -> Iterator[ImageAnnotation]:
        return iter(tuple(self._annotations.values()))

    def of(self, image: Image | None) -> ImageAnnotation | None:
        """Return the annotation of an image, if it has begun."""
        return None if image is None else self._annotations.get(image)

    def begin(self, image: Image) -> ImageAnnotation:
        """Return the annotation of an image, begun if need be."""
        annotation = self._annotations.get(image)
        if annotation is None:
            annotation = self._annotations[image] = self._new_annotation(image)
            self.begun.emit(annotation)
        return annotation

    def view(self, image: Image, frame_index: FrameIndex) -> View:
        """Return the stack through a frame of an image, as it is displayed now."""
        axes = StackAxes.through(image, self._focus.axis_of(image), frame_index)
        return self._views.of(self._viewer.layers, image, axes)

    def session(self, view: View) -> Session:
        """Return the session of a view; called by workers, since it may load the model."""
        return self._sessions.of(view)

    def known_session(self, view: View) -> Session | None:
        """Return the session of a view if it was opened before."""
        return self._sessions.known(view)

    @property
    def is_busy(self) -> bool:
        """Whether objects are being propagated or detected."""
        return any(
            annotation.propagation.is_running or annotation.detection.is_busy for annotation in self
        )

    @property
    def encoding_progress(self) -> EncodingProgress | None:
        """How far the encoding of an image has come, if it takes long."""
        progress = self._sessions.encoding_progress
        return progress if progress is not None and progress.is_long else None

    def stop_encoding(self) -> None:
        """Stop encoding an image, whether it takes long or not."""
        self._sessions.stop_encoding()

    def drop_requests(self) -> None:
        """Drop all prompts and concepts that wait for the model."""
        for annotation in self:
            annotation.segmentation.drop_requests()
            annotation.detection.drop_requests()

    def load_with(self, load: Callable[[], Engine]) -> Engine:
        """Load another engine and use it from now on; called by a worker."""
        engine = load()
        self._sessions.load_with(load)
        self._engine = ref(engine)
        return engine

    @property
    def engine(self) -> Engine | None:
        """The engine in use, once one was loaded; who loaded it keeps it in memory."""
        engine = self._engine()
        return None if engine is None or engine.is_closed else engine

    def choose_layout(self, layout: Layout) -> None:
        """Move all masks to a layer for each object, or to one layer for all."""
        lost = 0
        try:
            for annotation in self:
                lost += annotation.workspace.change_layout(layout)
        except StorageError as error:
            self.failed.emit(str(error))
            return
        self.layout = layout
        if lost:
            self.failed.emit(OVERLAPPED.format(lost))

    def keep_committed(self, keeps: bool) -> None:
        """In one layer, let objects leave pixels to those that have them, or take them."""
        self.keeps_committed = keeps
        for annotation in self:
            annotation.workspace.results.keeps_committed = keeps

    def lay_down(self) -> None:
        """Let clicks draw no prompts any more, until a tool is taken up again."""
        for annotation in self:
            self._lay_down(annotation)

    def _new_annotation(self, image: Image) -> ImageAnnotation:
        workspace = Workspace(image, self.layout, partial(self._describe, image))
        workspace.results.keeps_committed = self.keeps_committed
        segmentation = Segmentation(
            workspace,
            self._jobs,
            self._sessions,
            partial(self.view, image),
            partial(visible_box, self._viewer, image),
        )
        propagation = Propagation(workspace, segmentation, self._jobs, self._sessions)
        workspace.results.added.connect(partial(self.arrangement.show_result, workspace))
        workspace.results.added.connect(workspace.watch_layer)
        workspace.results.removed.connect(self.arrangement.hide_result)
        workspace.objects.changed.connect(partial(self._on_object_changed, workspace))
        workspace.prompts.refused.connect(self._on_failed)
        workspace.removed.connect(self._on_objects_removed)
        segmentation.prompted.connect(self._on_prompted)
        segmentation.changed.connect(self._on_changed)
        segmentation.failed.connect(self._on_failed)
        propagation.advanced.connect(self._on_changed)
        propagation.ended.connect(self._on_run_ended)
        image.events.data.connect(self._on_pixels_replaced)
        for name in GEOMETRY:
            getattr(image.events, name).connect(self._on_image_moved)
        concepts = self._new_concepts(workspace)
        detection = Detection(concepts, self._jobs, self._sessions, partial(self.view, image))
        detection.changed.connect(self._on_changed)
        detection.failed.connect(self._on_failed)
        return ImageAnnotation(workspace, segmentation, propagation, concepts, detection)

    def _new_concepts(self, workspace: Workspace) -> Concepts:
        concepts = Concepts(workspace.image, workspace.folder.labels)
        concepts.added.connect(partial(self.arrangement.show_result, workspace))
        concepts.removed.connect(self.arrangement.hide_result)
        concepts.changed.connect(self._on_changed)
        concepts.failed.connect(self._on_failed)
        return concepts

    def _describe(self, image: Image) -> SessionDescription:
        """Describe what the masks of an image are made from."""
        channels = visible_channels(self._viewer.layers, image)
        return session_description(image, channels, self._sessions.model_description)

    def _on_layer_inserted(self, event: Any) -> None:
        """Give a layer that was duplicated from one of masks files of its own."""
        layer = event.value
        for annotation in self if isinstance(layer, Labels) else ():
            if layer not in (*annotation.workspace.layers(), *annotation.concepts.layers()):
                self._give_own_files(layer, annotation.workspace.folder.labels)

    def _give_own_files(self, layer: Labels, store: LabelStore) -> None:
        try:
            give_own_files(layer, store)
        except StorageError as error:
            self.failed.emit(f"{error} Until then, {layer.name} shows what its original shows.")

    def _on_layer_removed(self, event: Any) -> None:
        match event.value:
            case Image() as image if image in self._annotations:
                self._end(image, "removed")
            case Labels() as labels:
                self._forget_objects_of(labels)

    def _on_pixels_replaced(self, event: Any) -> None:
        image = event.source
        annotation = self._annotations.get(image)
        if annotation is None:
            return
        if data_shape(image) != annotation.workspace.shape:
            self._end(image, "replaced by one of another size")
            return
        annotation.propagation.stop(_ending(image, "replaced"))

    def _on_image_moved(self, event: Any) -> None:
        """Keep all layers of an image on it when its scale or its translation changes."""
        annotation = self._annotations.get(event.source)
        if annotation is not None:
            for layer in (*annotation.workspace.layers(), *annotation.concepts.layers()):
                lay_on(layer, event.source)

    def _end(self, image: Image, what_happened: str) -> None:
        annotation = self._annotations.pop(image)
        image.events.data.disconnect(self._on_pixels_replaced)
        for name in GEOMETRY:
            getattr(image.events, name).disconnect(self._on_image_moved)
        annotation.segmentation.close()
        annotation.detection.close()
        self._lay_down(annotation)
        annotation.propagation.stop(_ending(image, what_happened))

    def _lay_down(self, annotation: ImageAnnotation) -> None:
        prompts, boxes = annotation.workspace.prompts, annotation.concepts.exemplars.layer
        self.arrangement.lay_down(annotation.workspace.image, prompts.points, prompts.shapes, boxes)

    def _forget_objects_of(self, labels: Labels) -> None:
        for annotation in self:
            concept = annotation.concepts.of_layer(labels)
            if concept is not None:
                annotation.concepts.let_go(concept)
            annotation.workspace.let_go_of(labels)
        self.changed.emit()

    def _on_object_changed(self, workspace: Workspace) -> None:
        """Show a layer again that the user deleted, once there is something new on it."""
        for layer in workspace.results.layers():
            self.arrangement.show_result(workspace, layer)

    def _on_objects_removed(self, object_ids: frozenset[int]) -> None:
        forget = partial(self._sessions.forget_objects, object_ids)
        self._jobs.submit(("forget", object_ids), forget, lambda _: None, lambda _: None)

    def _on_prompted(self) -> None:
        self.prompted.emit()

    def _on_changed(self) -> None:
        self.changed.emit()

    def _on_failed(self, message: str) -> None:
        self.failed.emit(message)

    def _on_run_ended(self, message: str) -> None:
        if message:
            self.failed.emit(message)
        self.changed.emit()


def _ending(image: Image, what_happened: str) -> str:
    return (
        f"{image.name} was {what_happened}, so the propagation ended; the masks that were done are "
        "kept."
    )

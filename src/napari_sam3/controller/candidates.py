"""Searching for concepts, picking among their candidates, and keeping exemplars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from ..engine import ExemplarLibrary, Selection
from ..layers import DrawnBox, split_coordinates, visible_box
from ..values import Exemplar, FrameIndex, Mask, Sam3Error
from .annotations import Annotations, ConceptTool, ImageAnnotation
from .concept import CandidateCount, ConceptState, Description
from .concepts import Concepts
from .history import PickCandidate
from .view import Focus
from .workspace import Workspace

Extent = Literal["this frame", "what is visible", "all frames"]
"""What is searched."""
EXTENTS: tuple[Extent, ...] = ("this frame", "what is visible", "all frames")
NO_CONCEPT = "Nothing says what to find: draw a box around one, or type what it is."


class ConceptSearch:
    """Searches the image in view for concepts.

    Attributes
    ----------
    extent : str
        What is searched next.
    """

    changed = Signal()
    failed = Signal(str)
    layer_added = Signal(Layer)  # that exemplars are drawn in
    tool_wanted = Signal(str)

    def __init__(self, viewer: ViewerModel, focus: Focus, annotations: Annotations) -> None:
        self.extent: Extent = "this frame"
        self._viewer = viewer
        self._focus = focus
        self._annotations = annotations
        self._is_picking = False
        annotations.begun.connect(self._on_annotation_begun)
        focus.moved.connect(self.show_frame)
        focus.image_selected.connect(self.show_frame)

    @property
    def concepts(self) -> Concepts | None:
        """The concepts of the image in view, once its annotation has begun."""
        annotation = self._annotations.of(self._focus.image)
        return None if annotation is None else annotation.concepts

    @property
    def current(self) -> ConceptState | None:
        """The concept whose levels are moved and whose boxes are shown."""
        return None if self.concepts is None else self.concepts.current

    @property
    def candidate_count(self) -> CandidateCount | None:
        """How many candidates of the current concept this frame has, if it was searched."""
        concept, frame_index = self.current, self._focus.frame_index
        if concept is None or frame_index is None:
            return None
        return concept.candidate_count(frame_index)

    def find_texts(self, texts: Sequence[str]) -> None:
        """Search for phrases, each of which is a concept of its own."""
        annotation = self.begin()
        if annotation is None:
            return
        concepts = annotation.concepts
        wanted = [concepts.named(text) or concepts.begin(Description(text)) for text in texts]
        self.search_for(annotation, wanted)
        self.tool_wanted.emit("pick")

    def find_everything(self) -> None:
        """Detect all objects, whatever they are."""
        annotation = self.begin()
        if annotation is None:
            return
        concepts = annotation.concepts
        known = concepts.everything or concepts.begin(Description(is_everything=True))
        concepts.choose(known)
        self.search_for(annotation, [known])
        self.tool_wanted.emit("pick")

    def find_again(self) -> None:
        """Search for the current concept once more, or on another extent."""
        annotation = self.begin()
        if annotation is None or annotation.concepts.current is None:
            self.failed.emit(NO_CONCEPT)
            return
        self.search_for(annotation, [annotation.concepts.current])

    def stop(self) -> None:
        """Stop searching; the candidates so far are kept."""
        annotation = self._annotations.of(self._focus.image)
        if annotation is not None:
            annotation.detection.stop()
            annotation.detection.drop_requests()

    def choose_extent(self, extent: Extent) -> None:
        """Search another extent from now on."""
        self.extent = extent
        self.changed.emit()

    def choose_concept(self, concept: ConceptState | None) -> None:
        """Go on with another concept, or with one that is yet to be described."""
        if self.concepts is not None:
            self.concepts.choose(concept)
            self.show_frame()

    def remove_concept(self) -> None:
        """Remove the current concept with all of its candidates."""
        if self.concepts is not None and self.current is not None:
            self.concepts.remove(self.current)
            self.show_frame()

    def find_like(self, name: str, exemplars: Sequence[Exemplar]) -> None:
        """Search for objects similar to exemplars of a library, as a concept of its own."""
        annotation = self.begin()
        if annotation is None:
            return
        concept = annotation.concepts.begin(Description(library_exemplars=tuple(exemplars)))
        annotation.concepts.rename(concept, name)
        self.search_for(annotation, [concept])
        self.tool_wanted.emit("pick")

    def select(self, levels: Selection) -> None:
        """Filter the candidates of the current concept by other levels."""
        if self.current is not None and self.current.levels != levels:
            self.current.levels = levels
            self.show_frame()

    def settle(self) -> None:
        """Draw all frames with the levels of the sliders."""
        annotation = self._annotations.of(self._focus.image)
        if annotation is not None and annotation.concepts.current is not None:
            annotation.detection.redraw_outdated(annotation.concepts.current)

    def take_up(self, tool: ConceptTool) -> None:
        """Make ready to draw exemplars, or to pick candidates."""
        annotation = self.begin()
        if annotation is None:
            return
        exemplars = annotation.concepts.exemplars
        self._is_picking = tool == "pick"
        if self._is_picking:
            self._annotations.arrangement.pick_on(annotation.workspace)
            self.show_frame()
            return
        exemplars.is_positive = tool == "exemplar"
        self.show_exemplars(annotation)
        self._annotations.arrangement.draw_on(exemplars.layer)
        self.show_frame()

    def lay_down(self) -> None:
        """Pick no longer."""
        self._is_picking = False
        self.show_frame()

    def show_exemplars(self, annotation: ImageAnnotation) -> None:
        """Show the layer of boxes."""
        layer = annotation.concepts.exemplars.layer
        if self._annotations.arrangement.show_on_top(layer):
            self.layer_added.emit(layer)

    def begin(self) -> ImageAnnotation | None:
        """Return the annotation of the image in view, begun if need be."""
        image = self._focus.image
        if image is None:
            self.failed.emit("There is no image to search: open one first.")
            return None
        return self._annotations.begin(image)

    def search_for(self, annotation: ImageAnnotation, concepts: Sequence[ConceptState]) -> None:
        """Search the chosen extent for concepts."""
        frame_index, image = self._focus.frame_index, self._focus.image
        wanted = [concept for concept in concepts if not concept.description.is_empty]
        if frame_index is None or image is None or not wanted:
            return
        if self.extent == "all frames":
            annotation.detection.find_all(wanted, frame_index)
            return
        is_part = self.extent == "what is visible"
        region = visible_box(self._viewer, image) if is_part else None
        for concept in wanted:
            annotation.detection.find(concept, frame_index, region)

    def drawn_concept(self, annotation: ImageAnnotation) -> ConceptState:
        """Return the concept that a box is drawn for, a new one if need be."""
        current = annotation.concepts.current
        if current is None or current.description.is_everything:
            return annotation.concepts.begin(Description())
        return current

    def _on_annotation_begun(self, annotation: ImageAnnotation) -> None:
        annotation.concepts.exemplars.changed.connect(partial(self._on_boxes_changed, annotation))
        annotation.concepts.exemplars.refused.connect(self._on_failed)
        annotation.detection.detected.connect(self._on_detected)
        annotation.workspace.removed.connect(partial(self._on_objects_removed, annotation))

    def _on_boxes_changed(self, annotation: ImageAnnotation) -> None:
        """Search for objects similar to those in the boxes, on the image they are drawn on."""
        if self._annotations.of(annotation.workspace.image) is not annotation:  # it was removed
            return
        self._focus.choose_image(annotation.workspace.image)
        boxes = annotation.concepts.exemplars.boxes()
        current = annotation.concepts.current
        if current is None or current.description.is_everything:
            current = annotation.concepts.begin(Description(boxes=boxes))
        else:
            annotation.concepts.describe(current, replace(current.description, boxes=boxes))
        self.search_for(annotation, [current])

    def _on_detected(self, concept: ConceptState, frame_index: FrameIndex) -> None:
        if frame_index == self._focus.frame_index:
            self.show_frame()

    def _on_objects_removed(self, annotation: ImageAnnotation, object_ids: frozenset[int]) -> None:
        for concept in annotation.concepts:
            if concept.demote(object_ids):
                annotation.detection.redraw_outdated(concept)
        self.show_frame()

    def show_frame(self) -> None:
        """Draw the kept candidates of this frame."""
        frame_index = self._focus.frame_index
        if self.concepts is not None and frame_index is not None:
            for concept in self.concepts:
                self.concepts.draw(concept, frame_index)
            self.concepts.show_features(frame_index)
        self._show_faint(frame_index if self._is_picking else None)
        self.changed.emit()

    def _show_faint(self, frame_index: FrameIndex | None) -> None:
        """Outline what is not kept on a frame of the image in view, or nothing anywhere."""
        for annotation in self._annotations:
            is_here = frame_index is not None and annotation.concepts is self.concepts
            annotation.concepts.draw_faint(frame_index if is_here else None)
            if is_here:
                self._annotations.arrangement.show_result(
                    annotation.workspace, annotation.concepts.faint.layer
                )
            elif annotation.workspace.image in self._viewer.layers:  # else it is being deleted
                self._annotations.arrangement.hide_result(annotation.concepts.faint.layer)

    def _on_failed(self, message: str) -> None:
        self.failed.emit(message)


def promote(
    workspace: Workspace, concept: ConceptState, frame_index: FrameIndex, positions: Sequence[int]
) -> None:
    """Promote candidates to objects; the object of the last candidate is the current object.

    What was painted on a candidate is part of its object, and an erased one becomes none.

    Raises
    ------
    StorageError
        If they cannot be stored; all are candidates then.
    """
    painted = {} if concept.sheet is None else concept.sheet.painted(frame_index)
    candidates = {
        position: _as_painted(concept, frame_index, position, painted) for position in positions
    }
    kept = {position: mask for position, mask in candidates.items() if mask is not None}
    objs = workspace.promote(frame_index, list(kept.values()))
    if concept.sheet is not None:
        concept.sheet.wipe(frame_index, [at + 1 for at in kept if at + 1 in painted])
    ids = [obj.id for obj in objs]
    concept.promote(frame_index, dict(zip(kept, ids, strict=True)))
    if objs:
        workspace.objects.current = objs[-1]


def _as_painted(
    concept: ConceptState,
    frame_index: FrameIndex,
    position: int,
    painted: Mapping[int, NDArray[np.bool_]],
) -> Mask | None:
    """Return a candidate as painted; None if it was erased. Its label is its position + 1."""
    if position + 1 not in painted:
        return concept.mask(frame_index, position)
    mask = Mask.of(painted[position + 1], concept.score(frame_index, position)).trimmed()
    return mask if mask.area else None


MANY = 12
"""More objects than this promoted at once share one layer, to keep the list of layers short."""
SHARED_LAYER = (
    "So many objects share one layer, so that the list stays short; Output has the choice."
)


@dataclass(frozen=True, slots=True, eq=False)
class Picked:
    """A candidate that was clicked."""

    concept: ConceptState
    frame_index: FrameIndex
    position: int

    @property
    def is_shown(self) -> bool:
        """Whether it is kept."""
        return self.concept.is_shown(self.frame_index, self.position)

    @property
    def score(self) -> float:
        """How sure the model is of it, 0..1."""
        return self.concept.score(self.frame_index, self.position)


class Picking:
    """Keeps or rejects candidates of the current concept by clicks, and promotes them."""

    changed = Signal()
    failed = Signal(str)
    told = Signal(str)  # what is good to know and no failure

    def __init__(self, search: ConceptSearch, focus: Focus, annotations: Annotations) -> None:
        self._search = search
        self._focus = focus
        self._annotations = annotations
        self._picked: Picked | None = None

    @property
    def picked(self) -> Picked | None:
        """The candidate that was clicked last, while its frame is in view."""
        picked = self._picked
        if picked is None or picked.concept is not self._search.current:
            return None
        if picked.frame_index != self._focus.frame_index:
            return None
        is_candidate = picked.concept.is_candidate(picked.frame_index, picked.position)
        return picked if is_candidate else None

    def pick(self, world_point: ArrayLike) -> None:
        """Reject the candidate at a point of the world, or keep it if it was not kept."""
        picked = self._candidate_at(world_point)
        if picked is not None:
            self._toggle(picked)
            self._search.show_frame()

    def make_object_at(self, world_point: ArrayLike) -> None:
        """Promote the candidate at a point of the world to an object."""
        if self._candidate_at(world_point) is not None:
            self.make_object()

    def make_object(self) -> None:
        """Promote the candidate that was clicked last to an object."""
        picked = self.picked
        if picked is not None:
            self._promote(picked.concept, picked.frame_index, [picked.position])

    def make_objects(self) -> None:
        """Promote every kept candidate of this frame to an object."""
        concept, frame_index = self._search.current, self._focus.frame_index
        kept = None if concept is None or frame_index is None else concept.kept_at(frame_index)
        if concept is None or frame_index is None or kept is None:
            return
        if len(kept.positions) > MANY and self._annotations.layout != "one layer":
            self._annotations.choose_layout("one layer")
            self.told.emit(SHARED_LAYER)
        self._promote(concept, frame_index, kept.positions.tolist())

    def use_as_exemplar(self) -> None:
        """Search for objects similar to the candidate clicked last, or exclude them if rejected."""
        annotation, picked = self._search.begin(), self.picked
        if annotation is None or picked is None:
            return
        box = DrawnBox(
            picked.frame_index,
            picked.concept.box(picked.frame_index, picked.position),
            picked.is_shown,
        )
        concept = self._search.drawn_concept(annotation)
        boxes = (*concept.description.boxes, box)
        annotation.concepts.describe(concept, replace(concept.description, boxes=boxes))
        annotation.concepts.exemplars.show(boxes)
        self._search.show_exemplars(annotation)
        self._search.search_for(annotation, [concept])

    def _toggle(self, picked: Picked) -> None:
        concept, frame_index = picked.concept, picked.frame_index
        before = concept.selection_at(frame_index)
        concept.toggle(frame_index, picked.position)
        act = PickCandidate(concept.id, frame_index, before, concept.selection_at(frame_index))
        annotation = self._annotations.of(self._focus.image)
        if annotation is not None:
            annotation.workspace.history.push(act)

    def _candidate_at(self, world_point: ArrayLike) -> Picked | None:
        image, concept = self._focus.image, self._search.current
        self._picked = None
        if image is not None and concept is not None:
            (frame_index,), ((row, col),) = split_coordinates([image.world_to_data(world_point)])
            position = concept.position_at(frame_index, row, col)
            self._picked = None if position is None else Picked(concept, frame_index, position)
        self.changed.emit()
        return self._picked

    def _promote(
        self, concept: ConceptState, frame_index: FrameIndex, positions: Sequence[int]
    ) -> None:
        annotation = self._search.begin()
        if annotation is None:
            return
        try:
            promote(annotation.workspace, concept, frame_index, positions)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self._search.show_frame()


class ExemplarKeeping:
    """Saves the exemplars of the current concept in a library, and searches for saved ones.

    Parameters
    ----------
    search : ConceptSearch
        Whose current concept is saved.
    library : ExemplarLibrary
        Where they are saved.
    """

    changed = Signal()
    failed = Signal(str)

    def __init__(self, search: ConceptSearch, library: ExemplarLibrary) -> None:
        self.library = library
        self._search = search

    def names(self) -> list[str]:
        """Return the names in the library; none where it cannot be read."""
        try:
            return self.library.names()
        except Sam3Error as error:
            self.failed.emit(str(error))
            return []

    def exemplars(self, name: str) -> list[Exemplar]:
        """Return the exemplars of a name; none where they cannot be read."""
        try:
            return self.library.load(name)
        except Sam3Error as error:
            self.failed.emit(str(error))
            return []

    def keep(self, name: str) -> None:
        """Save the exemplars of the current concept, instead of earlier ones of that name."""
        annotation, concept = self._search.begin(), self._search.current
        if annotation is not None and concept is not None:
            annotation.detection.encode_exemplars(
                concept, partial(self._on_exemplars_encoded, name)
            )

    def use(self, name: str) -> None:
        """Search for objects similar to the exemplars of a name."""
        exemplars = self.exemplars(name)
        if exemplars:
            self._search.find_like(name, exemplars)

    def remove(self, name: str) -> None:
        """Delete the exemplars of a name."""
        try:
            self.library.remove(name)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self.changed.emit()

    def _on_exemplars_encoded(self, name: str, exemplars: Sequence[Exemplar]) -> None:
        try:
            self.library.save(name, exemplars)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self.changed.emit()

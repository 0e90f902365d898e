"""What a user does about finding objects in the image that she looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from napari.components import ViewerModel
from napari.layers import Layer
from psygnal import Signal

from ..engine import Exemplar, Selection
from ..layers.axes import Place
from ..layers.visible import visible_box
from .arrangement import FindTool
from .concepts import Concepts
from .focus import Focus
from .found_concept import Description, FoundConcept, Tally
from .works import Work, Works

Extent = Literal["this frame", "what is visible", "all frames"]
"""Where to look."""
EXTENTS: tuple[Extent, ...] = ("this frame", "what is visible", "all frames")
NO_CONCEPT = "Nothing says what to find: draw a box around one, or type what it is."


class Finder:
    """Looks for concepts on the image that is looked at.

    Attributes
    ----------
    extent : str
        Where to look next.
    """

    changed = Signal()
    failed = Signal(str)
    layer_added = Signal(Layer)  # that exemplars are drawn in
    tool_wanted = Signal(str)

    def __init__(self, viewer: ViewerModel, focus: Focus, works: Works) -> None:
        self.extent: Extent = "this frame"
        self._viewer = viewer
        self._focus = focus
        self._works = works
        self._is_picking = False
        works.begun.connect(self._on_work_begun)
        focus.moved.connect(self.show_frame)
        focus.image_chosen.connect(self.show_frame)

    @property
    def concepts(self) -> Concepts | None:
        """The concepts of the image that is looked at, once work on it has begun."""
        work = self._works.of(self._focus.image)
        return None if work is None else work.concepts

    @property
    def current(self) -> FoundConcept | None:
        """The concept whose levels are moved and whose boxes are shown."""
        return None if self.concepts is None else self.concepts.current

    @property
    def tally(self) -> Tally | None:
        """What was found of the current concept on this frame, if it was looked for."""
        place = self._focus.place
        return None if self.current is None or place is None else self.current.tally(place)

    def find_texts(self, texts: Sequence[str]) -> None:
        """Look for phrases, each of which is a concept of its own."""
        work = self.begin()
        if work is None:
            return
        concepts = work.concepts
        wanted = [concepts.named(one) or concepts.begin(Description(one)) for one in texts]
        self.look_for(work, wanted)
        self.tool_wanted.emit("pick")

    def find_everything(self) -> None:
        """Look for all objects, whatever they are."""
        work = self.begin()
        if work is None:
            return
        concepts = work.concepts
        known = concepts.everything or concepts.begin(Description(is_everything=True))
        concepts.choose(known)
        self.look_for(work, [known])
        self.tool_wanted.emit("pick")

    def find_again(self) -> None:
        """Look for the current concept once more, or somewhere else."""
        work = self.begin()
        if work is None or work.concepts.current is None:
            self.failed.emit(NO_CONCEPT)
            return
        self.look_for(work, [work.concepts.current])

    def stop(self) -> None:
        """Look no further; what was found is kept."""
        work = self._works.of(self._focus.image)
        if work is not None:
            work.finding.stop()
            work.finding.drop_questions()

    def choose_extent(self, extent: Extent) -> None:
        """Look elsewhere from now on."""
        self.extent = extent
        self.changed.emit()

    def choose_concept(self, concept: FoundConcept | None) -> None:
        """Go on with another concept, or with one that is yet to be described."""
        if self.concepts is not None:
            self.concepts.choose(concept)
            self.show_frame()

    def remove_concept(self) -> None:
        """Forget the current concept with all that was found of it."""
        if self.concepts is not None and self.current is not None:
            self.concepts.remove(self.current)
            self.show_frame()

    def borrow(self, name: str, exemplars: Sequence[Exemplar]) -> None:
        """Look for what was kept by a name, as a concept of its own."""
        work = self.begin()
        if work is None:
            return
        concept = work.concepts.begin(Description(borrowed=tuple(exemplars)))
        work.concepts.rename(concept, name)
        self.look_for(work, [concept])
        self.tool_wanted.emit("pick")

    def select(self, levels: Selection) -> None:
        """Choose among the candidates of the current concept with other levels."""
        if self.current is not None and self.current.levels != levels:
            self.current.levels = levels
            self.show_frame()

    def settle(self) -> None:
        """Draw all frames with the levels that were chosen last."""
        work = self._works.of(self._focus.image)
        if work is not None and work.concepts.current is not None:
            work.finding.redraw_others(work.concepts.current)

    def take_up(self, tool: FindTool) -> None:
        """Make ready to draw exemplars, or to pick candidates."""
        work = self.begin()
        if work is None:
            return
        exemplars = work.concepts.exemplars
        self._is_picking = tool == "pick"
        if self._is_picking:
            self._works.arrangement.pick_on(work.workspace)
            self.show_frame()
            return
        exemplars.is_positive = tool == "exemplar"
        self.show_exemplars(work)
        self._works.arrangement.draw_on(exemplars.layer)
        self.show_frame()

    def lay_down(self) -> None:
        """Pick no longer."""
        self._is_picking = False
        self.show_frame()

    def show_exemplars(self, work: Work) -> None:
        """Let the boxes be seen."""
        layer = work.concepts.exemplars.layer
        if self._works.arrangement.show_on_top(layer):
            self.layer_added.emit(layer)

    def begin(self) -> Work | None:
        """Return the work on the image that is looked at, begun if need be."""
        image = self._focus.image
        if image is None:
            self.failed.emit("There is no image to look at: open one first.")
            return None
        return self._works.begin(image)

    def look_for(self, work: Work, concepts: Sequence[FoundConcept]) -> None:
        """Look for concepts wherever the user wants it."""
        place, image = self._focus.place, self._focus.image
        wanted = [one for one in concepts if not one.description.is_empty]
        if place is None or image is None or not wanted:
            return
        if self.extent == "all frames":
            work.finding.find_on_all(wanted, place)
            return
        is_part = self.extent == "what is visible"
        region = visible_box(self._viewer, image) if is_part else None
        for concept in wanted:
            work.finding.find(concept, place, region)

    def drawn_concept(self, work: Work) -> FoundConcept:
        """Return the concept that a box is drawn for; everything is like any box."""
        current = work.concepts.current
        if current is None or current.description.is_everything:
            return work.concepts.begin(Description())
        return current

    def _on_work_begun(self, work: Work) -> None:
        work.concepts.exemplars.changed.connect(partial(self._on_boxes_changed, work))
        work.concepts.exemplars.refused.connect(self._on_failed)
        work.finding.found.connect(self._on_found)
        work.workspace.removed.connect(partial(self._on_objects_removed, work))

    def _on_boxes_changed(self, work: Work) -> None:
        """Look for what is boxed now, on the image that it is drawn on."""
        if self._works.of(work.workspace.image) is not work:  # it was removed
            return
        self._focus.choose_image(work.workspace.image)
        boxes = work.concepts.exemplars.boxes()
        current = work.concepts.current
        if current is None or current.description.is_everything:
            current = work.concepts.begin(Description(boxes=boxes))
        else:
            work.concepts.describe(current, replace(current.description, boxes=boxes))
        self.look_for(work, [current])

    def _on_found(self, concept: FoundConcept, place: Place) -> None:
        if place == self._focus.place:
            self.show_frame()

    def _on_objects_removed(self, work: Work, object_ids: frozenset[int]) -> None:
        for concept in work.concepts:
            if concept.give_back(object_ids):
                work.finding.redraw_others(concept)
        self.show_frame()

    def show_frame(self) -> None:
        """Draw what is to be seen on this frame, as it is to be seen now."""
        place = self._focus.place
        if self.concepts is not None and place is not None:
            for concept in self.concepts:
                self.concepts.draw(concept, place)
            self.concepts.show_features(place)
        self._show_faint(place if self._is_picking else None)
        self.changed.emit()

    def _show_faint(self, place: Place | None) -> None:
        """Outline what does not count on a frame of the image looked at, or nothing anywhere."""
        for work in self._works:
            is_here = place is not None and work.concepts is self.concepts
            work.concepts.draw_faint(place if is_here else None)
            if is_here:
                self._works.arrangement.show_result(work.workspace, work.concepts.faint.layer)
            elif work.workspace.image in self._viewer.layers:  # else napari is deleting layers
                self._works.arrangement.hide_result(work.concepts.faint.layer)

    def _on_failed(self, message: str) -> None:
        self.failed.emit(message)

"""What a user does about finding objects in the image that she looks at."""

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

from ..engine import Library, Selection
from ..layers import DrawnBox, split_coordinates, visible_box
from ..values import Exemplar, FrameIndex, Mask, Sam3Error
from .annotations import FindTool, Work, Works
from .concept import CandidateCount, ConceptState, Description
from .concepts import Concepts
from .view import Focus
from .workspace import Workspace

Extent = Literal["this frame", "what is visible", "all frames"]
"""Where to look."""
EXTENTS: tuple[Extent, ...] = ("this frame", "what is visible", "all frames")
NO_CONCEPT = "Nothing says what to find: draw a box around one, or type what it is."


class ConceptSearch:
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
        focus.image_selected.connect(self.show_frame)

    @property
    def concepts(self) -> Concepts | None:
        """The concepts of the image that is looked at, once work on it has begun."""
        work = self._works.of(self._focus.image)
        return None if work is None else work.concepts

    @property
    def current(self) -> ConceptState | None:
        """The concept whose levels are moved and whose boxes are shown."""
        return None if self.concepts is None else self.concepts.current

    @property
    def tally(self) -> CandidateCount | None:
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
            work.detection.stop()
            work.detection.drop_requests()

    def choose_extent(self, extent: Extent) -> None:
        """Look elsewhere from now on."""
        self.extent = extent
        self.changed.emit()

    def choose_concept(self, concept: ConceptState | None) -> None:
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
            work.detection.redraw_others(work.concepts.current)

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

    def look_for(self, work: Work, concepts: Sequence[ConceptState]) -> None:
        """Look for concepts wherever the user wants it."""
        place, image = self._focus.place, self._focus.image
        wanted = [one for one in concepts if not one.description.is_empty]
        if place is None or image is None or not wanted:
            return
        if self.extent == "all frames":
            work.detection.find_on_all(wanted, place)
            return
        is_part = self.extent == "what is visible"
        region = visible_box(self._viewer, image) if is_part else None
        for concept in wanted:
            work.detection.find(concept, place, region)

    def drawn_concept(self, work: Work) -> ConceptState:
        """Return the concept that a box is drawn for; everything is like any box."""
        current = work.concepts.current
        if current is None or current.description.is_everything:
            return work.concepts.begin(Description())
        return current

    def _on_work_begun(self, work: Work) -> None:
        work.concepts.exemplars.changed.connect(partial(self._on_boxes_changed, work))
        work.concepts.exemplars.refused.connect(self._on_failed)
        work.detection.found.connect(self._on_found)
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

    def _on_found(self, concept: ConceptState, place: FrameIndex) -> None:
        if place == self._focus.place:
            self.show_frame()

    def _on_objects_removed(self, work: Work, object_ids: frozenset[int]) -> None:
        for concept in work.concepts:
            if concept.give_back(object_ids):
                work.detection.redraw_others(concept)
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

    def _show_faint(self, place: FrameIndex | None) -> None:
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


def promote(
    workspace: Workspace, concept: ConceptState, place: FrameIndex, positions: Sequence[int]
) -> None:
    """Make an object of every candidate; the last one is the current object.

    What was painted on a candidate is part of its object, and an erased one becomes none.

    Raises
    ------
    StorageError
        If they cannot be stored; all are candidates then.
    """
    painted = {} if concept.sheet is None else concept.sheet.painted(place)
    found = {position: _found(concept, place, position, painted) for position in positions}
    kept = {position: one for position, one in found.items() if one is not None}
    objs = workspace.promote(place, list(kept.values()))
    if concept.sheet is not None:
        concept.sheet.wipe(place, [at + 1 for at in kept if at + 1 in painted])
    concept.take(place, {at: one.id for at, one in zip(kept, objs, strict=True)})
    if objs:
        workspace.objects.current = objs[-1]


def _found(
    concept: ConceptState,
    place: FrameIndex,
    position: int,
    painted: Mapping[int, NDArray[np.bool_]],
) -> Mask | None:
    """Return a candidate as it is seen; None if it was erased. Its label is its position + 1."""
    if position + 1 not in painted:
        return concept.mask(place, position)
    mask = Mask.of(painted[position + 1], concept.score(place, position)).trimmed()
    return mask if mask.area else None


MANY = 12
"""More objects than this made at once share one layer, or the list of layers would be endless."""
ONE_LAYER = "So many objects share one layer, so that the list stays short; Output has the choice."


@dataclass(frozen=True, slots=True, eq=False)
class Picked:
    """A candidate that was clicked."""

    concept: ConceptState
    place: FrameIndex
    position: int

    @property
    def is_shown(self) -> bool:
        """Whether it counts."""
        return self.concept.is_shown(self.place, self.position)

    @property
    def score(self) -> float:
        """How sure the model is of it, 0..1."""
        return self.concept.score(self.place, self.position)


class Picking:
    """Picks among the candidates of the current concept."""

    changed = Signal()
    failed = Signal(str)
    told = Signal(str)  # what is good to know and no failure

    def __init__(self, search: ConceptSearch, focus: Focus, works: Works) -> None:
        self._search = search
        self._focus = focus
        self._works = works
        self._picked: Picked | None = None

    @property
    def picked(self) -> Picked | None:
        """The candidate that was clicked last, while its frame is looked at."""
        one = self._picked
        if one is None or one.concept is not self._search.current:
            return None
        is_here = one.place == self._focus.place
        return one if is_here and one.concept.is_candidate(one.place, one.position) else None

    def pick(self, world_point: ArrayLike) -> None:
        """Throw out the candidate at a point of the world, or take it in if it does not count."""
        picked = self._candidate_at(world_point)
        if picked is not None:
            picked.concept.toggle(picked.place, picked.position)
            self._search.show_frame()

    def make_object_at(self, world_point: ArrayLike) -> None:
        """Make an object of the candidate at a point of the world."""
        if self._candidate_at(world_point) is not None:
            self.make_object()

    def make_object(self) -> None:
        """Make an object of the candidate that was clicked last."""
        picked = self.picked
        if picked is not None:
            self._promote(picked.concept, picked.place, [picked.position])

    def make_objects(self) -> None:
        """Make an object of every candidate that counts on this frame."""
        concept, place = self._search.current, self._focus.place
        chosen = None if concept is None or place is None else concept.chosen_at(place)
        if concept is None or place is None or chosen is None:
            return
        if len(chosen.positions) > MANY and self._works.layout != "one layer":
            self._works.choose_layout("one layer")
            self.told.emit(ONE_LAYER)
        self._promote(concept, place, chosen.positions.tolist())

    def use_as_exemplar(self) -> None:
        """Find what is like the candidate clicked last, or nothing like it if it was thrown out."""
        work, picked = self._search.begin(), self.picked
        if work is None or picked is None:
            return
        box = DrawnBox(
            picked.place, picked.concept.box(picked.place, picked.position), picked.is_shown
        )
        concept = self._search.drawn_concept(work)
        boxes = (*concept.description.boxes, box)
        work.concepts.describe(concept, replace(concept.description, boxes=boxes))
        work.concepts.exemplars.show(boxes)
        self._search.show_exemplars(work)
        self._search.look_for(work, [concept])

    def _candidate_at(self, world_point: ArrayLike) -> Picked | None:
        image, concept = self._focus.image, self._search.current
        self._picked = None
        if image is not None and concept is not None:
            (place,), ((row, col),) = split_coordinates([image.world_to_data(world_point)])
            position = concept.position_at(place, row, col)
            self._picked = None if position is None else Picked(concept, place, position)
        self.changed.emit()
        return self._picked

    def _promote(self, concept: ConceptState, place: FrameIndex, positions: Sequence[int]) -> None:
        work = self._search.begin()
        if work is None:
            return
        try:
            promote(work.workspace, concept, place, positions)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self._search.show_frame()


class Keeping:
    """Puts the exemplars of the current concept into a library, and takes others out.

    Parameters
    ----------
    finder : Finder
        Who looks for them.
    library : Library
        Where they are kept.
    """

    changed = Signal()
    failed = Signal(str)

    def __init__(self, search: ConceptSearch, library: Library) -> None:
        self.library = library
        self._search = search

    def names(self) -> list[str]:
        """Return the names of what is kept; none where the library cannot be read."""
        try:
            return self.library.names()
        except Sam3Error as error:
            self.failed.emit(str(error))
            return []

    def exemplars(self, name: str) -> list[Exemplar]:
        """Return what is kept by a name; nothing where it cannot be read."""
        try:
            return self.library.load(name)
        except Sam3Error as error:
            self.failed.emit(str(error))
            return []

    def keep(self, name: str) -> None:
        """Keep the exemplars of the current concept, in the place of others of that name."""
        work, concept = self._search.begin(), self._search.current
        if work is not None and concept is not None:
            work.detection.show_exemplars(concept, partial(self._on_exemplars_shown, name))

    def use(self, name: str) -> None:
        """Look for what is kept by a name."""
        exemplars = self.exemplars(name)
        if exemplars:
            self._search.borrow(name, exemplars)

    def remove(self, name: str) -> None:
        """Keep the exemplars of a name no longer."""
        try:
            self.library.remove(name)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self.changed.emit()

    def _on_exemplars_shown(self, name: str, exemplars: Sequence[Exemplar]) -> None:
        try:
            self.library.save(name, exemplars)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self.changed.emit()

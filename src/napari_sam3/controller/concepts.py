"""The concepts of one image, and how what was found of them is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from psygnal import Signal

from ..layers import ConceptSheet, ExemplarLayer, FaintOutlines, data_shape
from ..storage import LabelStore
from ..values import Candidates, FrameIndex, StorageError
from .concept import ConceptState, Description, Drawing, Region, boxes_of, counterparts

EVERYTHING = "everything"


class Concepts:
    """Concepts by their ids, one of which is the current one.

    Parameters
    ----------
    image : Image
        The layer that is looked at.
    store : LabelStore
        Where the arrays of their layers are.

    Attributes
    ----------
    exemplars : ExemplarLayer
        The boxes of the current concept.
    faint : FaintOutlines
        Candidates of the current concept that do not count, while the user picks among them.
    """

    changed = Signal()
    added = Signal(Layer)  # to be shown
    removed = Signal(Layer)  # no longer to be shown
    failed = Signal(str)

    def __init__(self, image: Image, store: LabelStore) -> None:
        self.current: ConceptState | None = None
        self.exemplars = ExemplarLayer(image)
        self.faint = FaintOutlines(image)
        self._image = image
        rows, cols = data_shape(image)[-2:]
        self._plane = rows, cols
        self._store = store
        self._concepts: dict[int, ConceptState] = {}
        self._last_id = 0

    def __iter__(self) -> Iterator[ConceptState]:
        return iter(tuple(self._concepts.values()))

    def __len__(self) -> int:
        return len(self._concepts)

    def begin(self, description: Description) -> ConceptState:
        """Add a concept and make it the current one."""
        self._last_id += 1
        name = description.text or (EVERYTHING if description.is_everything else "")
        new = ConceptState(self._last_id, name or f"concept {self._last_id}", description)
        if self.current is not None:
            new.levels = self.current.levels
        self._concepts[new.id] = new
        self.choose(new)
        return new

    def choose(self, concept: ConceptState | None) -> None:
        """Make a concept the current one, and show its boxes; None is one yet to be described."""
        self.current = concept
        self.exemplars.show(() if concept is None else concept.description.boxes)
        self.changed.emit()

    def named(self, text: str) -> ConceptState | None:
        """Return the concept of a phrase, if it was looked for before."""
        return next((one for one in self if one.description.text == text), None)

    @property
    def everything(self) -> ConceptState | None:
        """The concept of all objects, if they were looked for before."""
        return next((one for one in self if one.description.is_everything), None)

    def layers(self) -> list[Layer]:
        """Return all layers of boxes and of candidates."""
        sheets = [one.sheet.layer for one in self if one.sheet is not None]
        return [self.exemplars.layer, self.faint.layer, *sheets]

    def of_layer(self, layer: Layer) -> ConceptState | None:
        """Return the concept that a layer shows."""
        return next((one for one in self if one.sheet and one.sheet.layer is layer), None)

    def rename(self, concept: ConceptState, name: str) -> None:
        """Give a concept another name, and its layer too."""
        concept.name = name
        if concept.sheet is not None and concept.sheet.layer.name != name:
            concept.sheet.layer.name = name
        self.changed.emit()

    def let_go(self, concept: ConceptState) -> ConceptSheet | None:
        """Forget a concept, and return the sheet of what was found of it; it stays on disk."""
        if self._concepts.pop(concept.id, None) is None:
            return None
        if concept is self.current:
            self.choose(next(reversed(self._concepts.values()), None))
        sheet, concept.sheet = concept.sheet, None
        return sheet

    def remove(self, concept: ConceptState) -> None:
        """Forget a concept with all that was found of it."""
        sheet = self.let_go(concept)
        if sheet is None:
            return
        self.removed.emit(sheet.layer)
        try:
            sheet.delete()
        except StorageError as error:
            self.failed.emit(str(error))

    def describe(self, concept: ConceptState, description: Description) -> None:
        """Let a concept mean something else; nothing is drawn of it once it means nothing."""
        concept.description = description
        if description.is_empty:
            drawn = list(concept.drawn)
            concept.clear()
            for place in drawn:
                self.write(concept, place, Drawing(concept.selection_at(place), None))
        self.changed.emit()

    def put(
        self,
        concept: ConceptState,
        place: FrameIndex,
        asked: Description,
        found: Candidates,
        region: Region | None = None,
    ) -> None:
        """Take what was found on a frame, or in a region of it, and draw it."""
        if concept.id in self._concepts:
            before = concept.store.candidate_filter(place)
            concept.put(place, asked, found, region)
            self._renumber(concept, place, None if before is None else before.candidates)
            self.draw(concept, place)
            self.changed.emit()

    def draw(self, concept: ConceptState, place: FrameIndex) -> None:
        """Draw what counts on a frame, unless it is drawn so already.

        A frame whose candidates made room for others stays as it is.
        """
        selection = concept.selection_at(place)
        if place in concept.store and concept.drawn.get(place) != selection:
            self.write(concept, place, Drawing(selection, concept.chosen_at(place)))

    def write(self, concept: ConceptState, place: FrameIndex, drawing: Drawing) -> None:
        """Put a drawing on a frame."""
        if concept.sheet is None and drawing.is_empty:
            return
        try:
            sheet = concept.sheet or self._new_sheet(concept)
            for box, labels in drawing.parts(self._plane):
                sheet.draw(place, labels, box)
        except StorageError as error:
            self.failed.emit(str(error))
            return
        concept.drawn[place] = drawing.selection

    def show_features(self, place: FrameIndex) -> None:
        """Show where the mouse points how good and how large the candidates of a frame are."""
        for concept in self:
            if concept.sheet is not None:
                concept.sheet.show_features(_rows(concept, place))

    def draw_faint(self, place: FrameIndex | None) -> None:
        """Outline what does not count of the current concept on a frame, or nothing."""
        hidden = None
        is_large = len(boxes_of(self._plane)) > 1  # what napari cannot draw whole
        if self.current is not None and place is not None and not is_large:
            hidden = self.current.hidden_labels(place)
        if hidden is None or place is None:
            self.faint.clear()
            return
        self.faint.draw(place, hidden)

    def _renumber(
        self, concept: ConceptState, place: FrameIndex, before: Candidates | None
    ) -> None:
        """Let what was painted on candidates of before be on those that they are now."""
        painted = [] if concept.sheet is None else sorted(concept.sheet.painted(place))
        if concept.sheet is None or not painted:
            return
        after = concept.store.packed(place).bare
        known = [] if before is None else [one for one in painted if one <= len(before)]
        boxes = np.zeros((0, 4), int) if before is None else before.boxes[np.array(known, int) - 1]
        same = counterparts(boxes, after.boxes)
        others = count(max(len(after), painted[-1]) + 1)
        numbers = {label: next(others) for label in painted}
        numbers |= {known[one]: other + 1 for one, other in same.items()}
        try:
            concept.sheet.renumber(place, numbers)
        except StorageError as error:
            self.failed.emit(str(error))

    def _new_sheet(self, concept: ConceptState) -> ConceptSheet:
        sheet = ConceptSheet(self._image, self._store, concept.id, concept.name)
        concept.sheet = sheet
        sheet.layer.events.name.connect(self._on_layer_renamed)
        self.added.emit(sheet.layer)
        return sheet

    def _on_layer_renamed(self, event: Any) -> None:
        concept = self.of_layer(event.source)
        if concept is not None and concept.name != event.source.name:
            self.rename(concept, event.source.name)


def _rows(concept: ConceptState, place: FrameIndex) -> list[dict[str, Any]]:
    chosen = concept.chosen_at(place)
    if chosen is None:
        return []
    candidates, areas = chosen.candidate_filter.candidates, chosen.candidate_filter.areas
    return [
        {
            "index": position + 1,
            "score": round(float(candidates.scores[position]), 3),
            "area": int(areas[position]),
        }
        for position in sorted(chosen.positions.tolist())
    ]

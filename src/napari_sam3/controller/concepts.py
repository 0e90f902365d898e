"""The concepts of one image, and the layers that show their candidates."""

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
    """Concepts by their ids; one is the current concept.

    Parameters
    ----------
    image : Image
        The layer that is searched.
    store : LabelStore
        Where the arrays of their layers are.

    Attributes
    ----------
    exemplars : ExemplarLayer
        The boxes of the current concept.
    faint : FaintOutlines
        Candidates of the current concept that are not kept, while the user picks among them.
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
        """Return the concept of a phrase, if there is one."""
        return next((concept for concept in self if concept.description.text == text), None)

    @property
    def everything(self) -> ConceptState | None:
        """The concept of all objects, if there is one."""
        return next((concept for concept in self if concept.description.is_everything), None)

    def layers(self) -> list[Layer]:
        """Return all layers of boxes and of candidates."""
        sheets = [concept.sheet.layer for concept in self if concept.sheet is not None]
        return [self.exemplars.layer, self.faint.layer, *sheets]

    def of_layer(self, layer: Layer) -> ConceptState | None:
        """Return the concept that a layer shows."""
        return next((c for c in self if c.sheet is not None and c.sheet.layer is layer), None)

    def rename(self, concept: ConceptState, name: str) -> None:
        """Give a concept another name, and its layer too."""
        concept.name = name
        if concept.sheet is not None and concept.sheet.layer.name != name:
            concept.sheet.layer.name = name
        self.changed.emit()

    def let_go(self, concept: ConceptState) -> ConceptSheet | None:
        """Forget a concept, and return the sheet of its candidates; it stays on disk."""
        if self._concepts.pop(concept.id, None) is None:
            return None
        if concept is self.current:
            self.choose(next(reversed(self._concepts.values()), None))
        sheet, concept.sheet = concept.sheet, None
        return sheet

    def remove(self, concept: ConceptState) -> None:
        """Remove a concept with all of its candidates."""
        sheet = self.let_go(concept)
        if sheet is None:
            return
        self.removed.emit(sheet.layer)
        try:
            sheet.delete()
        except StorageError as error:
            self.failed.emit(str(error))

    def describe(self, concept: ConceptState, description: Description) -> None:
        """Change a description; nothing is drawn of a concept that has none."""
        concept.description = description
        if description.is_empty:
            drawn = list(concept.drawn)
            concept.clear()
            for frame_index in drawn:
                self.write(concept, frame_index, Drawing(concept.selection_at(frame_index), None))
        self.changed.emit()

    def put(
        self,
        concept: ConceptState,
        frame_index: FrameIndex,
        description: Description,
        candidates: Candidates,
        region: Region | None = None,
    ) -> None:
        """Keep the candidates of a frame, or of a region of it, and draw them."""
        if concept.id in self._concepts:
            before = concept.store.candidate_filter(frame_index)
            concept.put(frame_index, description, candidates, region)
            self._renumber(concept, frame_index, None if before is None else before.candidates)
            self.draw(concept, frame_index)
            self.changed.emit()

    def draw(self, concept: ConceptState, frame_index: FrameIndex) -> None:
        """Draw the kept candidates of a frame, unless it is drawn so already.

        A frame whose candidates were evicted stays as it is.
        """
        selection = concept.selection_at(frame_index)
        if frame_index in concept.store and concept.drawn.get(frame_index) != selection:
            self.write(concept, frame_index, Drawing(selection, concept.kept_at(frame_index)))

    def write(self, concept: ConceptState, frame_index: FrameIndex, drawing: Drawing) -> None:
        """Put a drawing on a frame."""
        if concept.sheet is None and drawing.is_empty:
            return
        try:
            sheet = concept.sheet or self._new_sheet(concept)
            for box, labels in drawing.parts(self._plane):
                sheet.draw(frame_index, labels, box)
        except StorageError as error:
            self.failed.emit(str(error))
            return
        concept.drawn[frame_index] = drawing.selection

    def show_features(self, frame_index: FrameIndex) -> None:
        """Show where the mouse points how good and how large the candidates of a frame are."""
        for concept in self:
            if concept.sheet is not None:
                concept.sheet.show_features(_rows(concept, frame_index))

    def draw_faint(self, frame_index: FrameIndex | None) -> None:
        """Outline candidates of the current concept that are not kept on a frame, or nothing."""
        hidden = None
        is_large = len(boxes_of(self._plane)) > 1  # what napari cannot draw whole
        if self.current is not None and frame_index is not None and not is_large:
            hidden = self.current.hidden_labels(frame_index)
        if hidden is None or frame_index is None:
            self.faint.clear()
            return
        self.faint.draw(frame_index, hidden)

    def _renumber(
        self, concept: ConceptState, frame_index: FrameIndex, before: Candidates | None
    ) -> None:
        """Give what was painted on candidates the labels that they have now."""
        painted = [] if concept.sheet is None else sorted(concept.sheet.painted(frame_index))
        if concept.sheet is None or not painted:
            return
        after = concept.store.packed(frame_index).bare
        known = [] if before is None else [label for label in painted if label <= len(before)]
        boxes = np.zeros((0, 4), int) if before is None else before.boxes[np.array(known, int) - 1]
        same = counterparts(boxes, after.boxes)
        unused = count(max(len(after), painted[-1]) + 1)
        numbers = {label: next(unused) for label in painted}
        numbers |= {known[old]: new + 1 for old, new in same.items()}
        try:
            concept.sheet.renumber(frame_index, numbers)
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


def _rows(concept: ConceptState, frame_index: FrameIndex) -> list[dict[str, Any]]:
    kept = concept.kept_at(frame_index)
    if kept is None:
        return []
    candidates, areas = kept.candidate_filter.candidates, kept.candidate_filter.areas
    return [
        {
            "index": position + 1,
            "score": round(float(candidates.scores[position]), 3),
            "area": int(areas[position]),
        }
        for position in sorted(kept.positions.tolist())
    ]

"""What a user does with single candidates: keeps them, throws them out, or makes them objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike
from psygnal import Signal

from ..engine import Sam3Error
from ..layers.axes import Place, split_coordinates
from ..layers.exemplar_layer import DrawnBox
from .adoption import adopt
from .finder import Finder
from .focus import Focus
from .found_concept import FoundConcept
from .works import Works

MANY = 12
"""More objects than this made at once share one layer, or the list of layers would be endless."""
ONE_LAYER = "So many objects share one layer, so that the list stays short; Output has the choice."


@dataclass(frozen=True, slots=True, eq=False)
class Picked:
    """A candidate that was clicked."""

    concept: FoundConcept
    place: Place
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

    def __init__(self, finder: Finder, focus: Focus, works: Works) -> None:
        self._finder = finder
        self._focus = focus
        self._works = works
        self._picked: Picked | None = None

    @property
    def picked(self) -> Picked | None:
        """The candidate that was clicked last, while its frame is looked at."""
        one = self._picked
        if one is None or one.concept is not self._finder.current:
            return None
        is_here = one.place == self._focus.place
        return one if is_here and one.concept.is_candidate(one.place, one.position) else None

    def pick(self, world_point: ArrayLike) -> None:
        """Throw out the candidate at a point of the world, or take it in if it does not count."""
        picked = self._candidate_at(world_point)
        if picked is not None:
            picked.concept.toggle(picked.place, picked.position)
            self._finder.show_frame()

    def make_object_at(self, world_point: ArrayLike) -> None:
        """Make an object of the candidate at a point of the world."""
        if self._candidate_at(world_point) is not None:
            self.make_object()

    def make_object(self) -> None:
        """Make an object of the candidate that was clicked last."""
        picked = self.picked
        if picked is not None:
            self._adopt(picked.concept, picked.place, [picked.position])

    def make_objects(self) -> None:
        """Make an object of every candidate that counts on this frame."""
        concept, place = self._finder.current, self._focus.place
        chosen = None if concept is None or place is None else concept.chosen_at(place)
        if concept is None or place is None or chosen is None:
            return
        if len(chosen.positions) > MANY and self._works.layout != "one layer":
            self._works.choose_layout("one layer")
            self.told.emit(ONE_LAYER)
        self._adopt(concept, place, chosen.positions.tolist())

    def use_as_exemplar(self) -> None:
        """Find what is like the candidate clicked last, or nothing like it if it was thrown out."""
        work, picked = self._finder.begin(), self.picked
        if work is None or picked is None:
            return
        box = DrawnBox(
            picked.place, picked.concept.box(picked.place, picked.position), picked.is_shown
        )
        concept = self._finder.drawn_concept(work)
        boxes = (*concept.description.boxes, box)
        work.concepts.describe(concept, replace(concept.description, boxes=boxes))
        work.concepts.exemplars.show(boxes)
        self._finder.show_exemplars(work)
        self._finder.look_for(work, [concept])

    def _candidate_at(self, world_point: ArrayLike) -> Picked | None:
        image, concept = self._focus.image, self._finder.current
        self._picked = None
        if image is not None and concept is not None:
            (place,), ((row, col),) = split_coordinates([image.world_to_data(world_point)])
            position = concept.position_at(place, row, col)
            self._picked = None if position is None else Picked(concept, place, position)
        self.changed.emit()
        return self._picked

    def _adopt(self, concept: FoundConcept, place: Place, positions: Sequence[int]) -> None:
        work = self._finder.begin()
        if work is None:
            return
        try:
            adopt(work.workspace, concept, place, positions)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self._finder.show_frame()

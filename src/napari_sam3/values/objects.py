"""The objects a user outlines, which of them is the current one, and what is known of each."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass, field

from psygnal import Signal

from .boxes import FrameIndex

Color = tuple[float, float, float, float]
"""Red, green, blue and opacity, each 0..1."""

_GOLDEN_RATIO = 0.618034


@dataclass(frozen=True, slots=True)
class FrameResult:
    """The mask that the model predicted of an object on one frame."""

    score: float  # predicted intersection over union, 0..1
    area: int  # pixels


@dataclass(slots=True, eq=False)
class SegmentedObject:
    """An object in the image that the user outlines."""

    id: int  # 1 or more, never used again in this session
    name: str
    color: Color
    results: dict[FrameIndex, FrameResult] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """Mean score over the frames it is on, or None while there are none."""
        scores = [result.score for result in self.results.values() if result.area]
        return sum(scores) / len(scores) if scores else None


@dataclass(frozen=True, slots=True)
class Track:
    """An object through the frames of a stack, and the object that it was born from."""

    id: int  # 1 or more; the label of its masks on every frame
    frames: tuple[int, ...]  # on which it has a mask, in order
    parent: int | None = None  # id of the track that divided into this and others


class ObjectList:
    """All objects of an image in the order they were added."""

    added = Signal(SegmentedObject)
    removed = Signal(SegmentedObject)
    renamed = Signal(SegmentedObject)
    changed = Signal(SegmentedObject)  # its name or its results
    current_changed = Signal(object)  # the SegmentedObject, or None

    def __init__(self) -> None:
        self._objects: dict[int, SegmentedObject] = {}
        self._last_id = 0
        self._current: SegmentedObject | None = None

    def __iter__(self) -> Iterator[SegmentedObject]:
        return iter(tuple(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, object_id: int) -> bool:
        return object_id in self._objects

    def __getitem__(self, object_id: int) -> SegmentedObject:
        return self._objects[object_id]

    @property
    def current(self) -> SegmentedObject | None:
        """The object that new prompts belong to; None only while the list is empty."""
        return self._current

    @current.setter
    def current(self, obj: SegmentedObject | None) -> None:
        if obj is self._current:
            return
        self._current = obj
        self.current_changed.emit(obj)

    def add(self) -> SegmentedObject:
        """Add an object with the next name and colour; the first becomes the current object."""
        self._last_id += 1
        new = SegmentedObject(self._last_id, f"cell {self._last_id}", color_of(self._last_id))
        self._objects[new.id] = new
        self.added.emit(new)
        if self._current is None:
            self.current = new
        return new

    def remove(self, object_id: int) -> None:
        """Remove an object; if it was current, the last object left becomes current."""
        gone = self._objects.pop(object_id)
        if gone is self._current:
            self.current = next(reversed(self._objects.values()), None)
        self.removed.emit(gone)

    def rename(self, object_id: int, name: str) -> None:
        """Give an object another name."""
        self._objects[object_id].name = name
        self.renamed.emit(self._objects[object_id])
        self.changed.emit(self._objects[object_id])

    def record(self, frame_index: FrameIndex, object_id: int, score: float, area: int) -> None:
        """Record the mask that the model predicted of an object on a frame."""
        self._objects[object_id].results[frame_index] = FrameResult(score, area)
        self.changed.emit(self._objects[object_id])

    def forget(self, frame_index: FrameIndex, object_id: int) -> None:
        """Drop what was recorded of an object on a frame, if anything was."""
        if self._objects[object_id].results.pop(frame_index, None) is not None:
            self.changed.emit(self._objects[object_id])


def color_of(object_id: int) -> Color:
    """Return a bright colour that is far from those of the objects before."""
    red, green, blue = colorsys.hsv_to_rgb((0.55 + object_id * _GOLDEN_RATIO) % 1, 0.7, 1.0)
    return red, green, blue, 1.0

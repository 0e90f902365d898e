"""Labels of large frames, of which only the part is touched that an object covers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..engine import PixelBox, StorageError
from ..io.label_pyramid import LabelPyramid
from .axes import Place
from .hand_edits import LabelPlane, Labels
from .lazy_stack import LazyStack
from .regions import bounding, holds, joined, moved
from .storing import storing_in


class TiledLabels:
    """The labels of a stack of large frames.

    A layer shows them at several sizes, and on these napari lets nobody paint. So what is shown
    is what the model wrote, and where each object lies is known without looking.

    Parameters
    ----------
    folder : Path
        The store that the arrays are in.
    pyramid : LabelPyramid
        The arrays, empty.
    """

    def __init__(self, folder: Path, pyramid: LabelPyramid) -> None:
        self._folder = folder
        self._pyramid = pyramid
        self._boxes: dict[Place, dict[int, PixelBox]] = {}  # of each label, or larger

    @property
    def layer_data(self) -> list[LazyStack]:
        """What a layer shows: arrays (..., H, W) uint16, the finest first."""
        return [LazyStack(level) for level in self._pyramid.levels]

    def box(self, place: Place, value: int) -> PixelBox | None:
        """Return a box outside of which a label has no pixel; None where it has none at all."""
        return self._boxes.get(place, {}).get(value)

    def read(self, place: Place, box: PixelBox) -> LabelPlane:
        """Read the pixels in a box of the frame at a place."""
        labels = self._pyramid.read(place, box)
        return LabelPlane(labels, labels)

    def write(self, place: Place, plane: LabelPlane, box: PixelBox) -> None:
        """Replace the pixels in a box, or leave them as they were and raise a `StorageError`."""
        before = self._pyramid.read(place, box)
        if np.array_equal(before, plane.shown):
            return
        try:
            self._put(place, box, plane.shown)
        except StorageError:
            with suppress(StorageError):
                self._put(place, box, before)
            raise
        self._note(place, box, before, plane.shown)

    def places(self) -> list[Place]:
        """Return the places of all frames that something is written on, in order."""
        return sorted(place for place, boxes in self._boxes.items() if boxes)

    def places_that_differ(self) -> list[Place]:
        """Return the places that a user painted on: none."""
        return []

    def parts(self, place: Place) -> Iterator[tuple[int, PixelBox, LabelPlane]]:
        """Return every label of a frame, with a box that holds all of it and the pixels there."""
        for value, box in sorted(self._boxes.get(place, {}).items()):
            yield value, box, self.read(place, box)

    def _put(self, place: Place, box: PixelBox, labels: Labels) -> None:
        with storing_in(self._folder):
            self._pyramid.write(place, box, labels)

    def _note(self, place: Place, box: PixelBox, before: Labels, after: Labels) -> None:
        """Keep in mind where the labels in a box are from now on."""
        boxes = self._boxes.setdefault(place, {})
        for value in np.union1d(before[before > 0], after[after > 0]).tolist():
            earlier = boxes.pop(value, None)
            found = bounding(after == value)
            now = None if found is None else moved(found, box[0], box[1])
            if earlier is not None and not holds(box, earlier):
                now = joined(earlier, now)
            if now is not None:
                boxes[value] = now

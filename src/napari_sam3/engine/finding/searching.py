"""Searching a frame for objects, in parts where it is too large or too full for one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..backend import Embedding
from ..images.picture import Picture
from ..images.seams import merged, tiles_of
from ..images.windows import Window
from ..model import Model
from ..turns import Turn
from .concepts import Candidates
from .exemplars import Box

SMALLEST = 128
"""No window is split into parts with fewer rows or columns."""
PART = 0.6
"""Rows and columns of a part, relative to those of the window that is split."""
AROUND = 0.125
"""What is seen around a region, relative to its sides."""

Search = Callable[[Embedding], Candidates]
"""Finds the objects on an embedded frame."""
PartSearch = Callable[[Embedding, Window], Candidates]
"""Finds the objects on an embedded window of a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Searcher:
    """Searches one frame, and takes a turn at the model for every picture of it."""

    model: Model
    picture: Picture  # the whole frame
    turn: Turn
    search: Search
    in_parts: Callable[[], PartSearch]  # made before a first window is looked at, if any is

    def found(self, region: Box | None) -> Candidates:
        """Find the objects of the frame whose middle is in a region.

        A frame that is not too large is looked at as a whole, since its embedding serves clicks as
        well. Where a model has named as many objects as it can, the region is looked at in four
        overlapping parts, and each of them again, until nothing is left over.
        """
        frames = self.picture.frames
        if frames.is_large:
            found = self._merged(tiles_of(frames, region))
        else:
            with self.model.embedded(self.picture, self.turn) as embedding:
                found = replace(self.search(embedding), windows_looked_at=1)
            if found.is_saturated:
                found = self._split(found, region)
        return replace(found, frame=self.picture.frame).within(region)

    def _split(self, found: Candidates, region: Box | None) -> Candidates:
        whole = Window(0, 0, 0, *found.shape)
        window = whole if region is None else window_on(region, whole.shape)
        parts = parts_of(whole) if window == whole else [window]
        return self._merged(parts) if parts else found

    def _merged(self, windows: Iterable[Window]) -> Candidates:
        search = self.in_parts()
        parts = (part for window in windows for part in self._parts(window, search))
        found = merged(parts, self.picture.frames.shape)
        return found.taken(np.argsort(-found.scores, kind="stable"))

    def _parts(self, window: Window, search: PartSearch) -> Iterator[tuple[Window, Candidates]]:
        picture = replace(self.picture, window=window)
        with self.model.embedded(picture, self.turn) as embedding:
            found = replace(search(embedding, window), windows_looked_at=1)
        parts = parts_of(window) if found.is_saturated else []
        if not parts:
            yield window, found
        for part in parts:
            yield from self._parts(part, search)


def parts_of(window: Window) -> list[Window]:
    """Split a window into four that overlap, or into two or none where four would be too small."""
    rows, cols = (
        _halves(*side) for side in ((window.top, window.height), (window.left, window.width))
    )
    parts = [
        Window(window.level, top, left, height, width)
        for top, height in rows
        for left, width in cols
    ]
    return parts if len(parts) > 1 else []


def _halves(first: int, size: int) -> list[tuple[int, int]]:
    """Split one side of a window: first pixels and sizes of its parts."""
    part = int(np.ceil(size * PART))
    return [(first, size)] if part < SMALLEST else [(first, part), (first + size - part, part)]


def window_on(region: Box, shape: tuple[int, int]) -> Window:
    """Return the window that shows a region of a frame (H, W) and some of its surroundings."""
    first, last = np.sort(np.reshape(region, (2, 2)), axis=0)
    around = np.maximum(AROUND * (last - first), (SMALLEST - (last - first)) / 2)
    top, left = np.floor(first - around).clip(0, np.array(shape) - 1).astype(int).tolist()
    bottom, right = np.ceil(last + around + 1).clip(1, shape).astype(int).tolist()
    return Window(0, top, left, bottom - top, right - left)

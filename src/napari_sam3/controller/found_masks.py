"""Masks that objects had on frames before anything was prompted there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engine import MaskPlace, PixelBox, Prompts, Reading
from ..layers.prompt_state import Key
from .workspace import Workspace


@dataclass(frozen=True, slots=True, eq=False)
class FoundMask:
    """A mask that was found by following an object, or painted."""

    bits: NDArray[np.uint8]  # its pixels in the box, row by row, eight in one
    box: PixelBox  # first row, first column, last row + 1, last column + 1
    score: float  # 0..1

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The pixels (h, w) in the box."""
        shape = self.box[2] - self.box[0], self.box[3] - self.box[1]
        return np.unpackbits(self.bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)

    def covers(self, points: NDArray[np.float64]) -> bool:
        """Whether all points, (N, 2) as row and column, are on its pixels."""
        nearest = np.rint(points).astype(int) - np.array(self.box[:2])
        shape = np.array([self.box[2] - self.box[0], self.box[3] - self.box[1]])
        if not ((nearest >= 0) & (nearest < shape)).all():
            return False
        return bool(self.pixels[tuple(nearest.T)].all())


class FoundMasks:
    """Keeps what was found while prompts correct it, and gives it back when they are gone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._found: dict[Key, FoundMask] = {}

    def keep(self, key: Key) -> None:
        """Remember what the object looks like on a frame where it is prompted from now on."""
        box, pixels = self._workspace.results.patch(*key)
        if pixels.any():
            result = self._workspace.objects[key[1]].results.get(key[0])
            score = 1.0 if result is None else result.score
            self._found[key] = FoundMask(np.packbits(pixels), box, score)

    def take(self, key: Key) -> FoundMask | None:
        """Give back what was found, and keep it no longer."""
        return self._found.pop(key, None)

    def completed(self, key: Key, prompts: Prompts) -> Prompts:
        """Let points correct what was found, unless they say that the object is elsewhere."""
        found = self._found.get(key)
        if found is None or len(prompts.boxes) or prompts.has_mask:
            return prompts
        if not found.covers(prompts.points[prompts.positive]):
            return prompts
        return prompts.with_mask(self._outline(found))

    def _outline(self, found: FoundMask) -> NDArray[np.bool_] | Reading:
        height, width = self._workspace.shape[-2:]
        if found.box == (0, 0, height, width):
            return found.pixels
        place = MaskPlace(found.box[0], found.box[1], (height, width))
        return Reading("whole", found.pixels, found.score, place)

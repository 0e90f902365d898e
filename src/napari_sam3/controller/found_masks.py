"""Masks that objects had on frames before anything was prompted there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engine import Prompts
from ..layers.prompt_state import Key
from .workspace import Workspace


@dataclass(frozen=True, slots=True, eq=False)
class FoundMask:
    """A mask that was found by following an object, or painted."""

    bits: NDArray[np.uint8]  # its pixels, row by row, eight in one
    shape: tuple[int, ...]  # (H, W)
    score: float  # 0..1

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The pixels, (H, W)."""
        flat = np.unpackbits(self.bits, count=int(np.prod(self.shape)))
        return flat.reshape(self.shape).astype(bool)


class FoundMasks:
    """Keeps what was found while prompts correct it, and gives it back when they are gone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._found: dict[Key, FoundMask] = {}

    def keep(self, key: Key) -> None:
        """Remember what the object looks like on a frame where it is prompted from now on."""
        pixels = self._workspace.results.mask(*key)
        if pixels.any():
            result = self._workspace.objects[key[1]].results.get(key[0])
            score = 1.0 if result is None else result.score
            self._found[key] = FoundMask(np.packbits(pixels), pixels.shape, score)

    def take(self, key: Key) -> FoundMask | None:
        """Give back what was found, and keep it no longer."""
        return self._found.pop(key, None)

    def completed(self, key: Key, prompts: Prompts) -> Prompts:
        """Let points correct what was found, unless they say that the object is elsewhere."""
        found = self._found.get(key)
        if found is None or len(prompts.boxes) or prompts.mask is not None:
            return prompts
        pixels = found.pixels
        rows, cols = np.rint(prompts.points[prompts.positive]).astype(int).T
        return prompts.with_mask(pixels) if pixels[rows, cols].all() else prompts

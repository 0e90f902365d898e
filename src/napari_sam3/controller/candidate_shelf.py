"""Candidates of many frames, kept in little room."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..engine import Candidates, Sieve
from ..layers.axes import Place

SHELF_BYTES = 2**28
"""What the candidates of one concept may occupy on all frames together."""
SIEVES_KEPT = 3  # frames whose sliders move at once


@dataclass(frozen=True, slots=True, eq=False)
class PackedCandidates:
    """Candidates whose masks take one bit a pixel."""

    bare: Candidates  # without masks
    bits: NDArray[np.uint8]  # all masks one after the other, row by row, eight pixels in one

    @classmethod
    def of(cls, candidates: Candidates) -> Self:
        """Pack candidates."""
        flat = [mask.ravel() for mask in candidates.masks] or [np.zeros(0, bool)]
        return cls(replace(candidates, masks=()), np.packbits(np.concatenate(flat)))

    @property
    def nbytes(self) -> int:
        """Bytes they occupy."""
        return self.bits.nbytes + self.bare.boxes.nbytes + self.bare.scores.nbytes

    def unpacked(self) -> Candidates:
        """Return the candidates as they were."""
        sides = self.bare.boxes[:, 2:] - self.bare.boxes[:, :2]
        ends = np.cumsum(sides.prod(axis=1, dtype=np.int64))
        flat = np.unpackbits(self.bits, count=int(ends[-1]) if len(ends) else 0).astype(bool)
        parts = zip(np.split(flat, ends[:-1]), sides.tolist(), strict=False)
        return replace(self.bare, masks=tuple(part.reshape(side) for part, side in parts))


class CandidateShelf:
    """Candidates by the place of their frame; the ones unused for longest make room.

    Parameters
    ----------
    max_bytes : int
        What they may occupy together.
    """

    def __init__(self, max_bytes: int = SHELF_BYTES) -> None:
        self._max_bytes = max_bytes
        self._nbytes = 0
        self._packed: OrderedDict[Place, PackedCandidates] = OrderedDict()
        self._sieves: OrderedDict[Place, Sieve] = OrderedDict()

    def __contains__(self, place: Place) -> bool:
        return place in self._packed

    def places(self) -> list[Place]:
        """Return where there are candidates, or may be none but were looked for."""
        return list(self._packed)

    def put(self, place: Place, candidates: Candidates) -> None:
        """Keep the candidates of a frame, in place of earlier ones."""
        self.drop(place)
        packed = self._packed[place] = PackedCandidates.of(candidates)
        self._nbytes += packed.nbytes
        while self._nbytes > self._max_bytes and len(self._packed) > 1:
            self.drop(next(iter(self._packed)))

    def packed(self, place: Place) -> PackedCandidates:
        """Return the candidates of a frame as a worker may take them."""
        return self._packed[place]

    def sieve(self, place: Place) -> Sieve | None:
        """Return what chooses among the candidates of a frame, if there are any."""
        if place not in self._packed:
            return None
        self._packed.move_to_end(place)
        if place not in self._sieves:
            self._sieves[place] = Sieve(self._packed[place].unpacked())
        self._sieves.move_to_end(place)
        while len(self._sieves) > SIEVES_KEPT:
            self._sieves.popitem(last=False)
        return self._sieves[place]

    def drop(self, place: Place) -> None:
        """Keep the candidates of a frame no longer."""
        gone = self._packed.pop(place, None)
        self._nbytes -= 0 if gone is None else gone.nbytes
        self._sieves.pop(place, None)

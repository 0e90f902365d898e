"""The memory of EdgeTAM, which is SAM 2's with far fewer tokens."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from torch import Tensor

from .maps import Maps
from .recall import Recall, Recollection
from .remembering import MemoryEncoder
from .tracking import Tracker


class CompressingEncoder(MemoryEncoder):
    """Sums up the memory of a frame in a few tokens."""

    def _encode(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        tokens, places = self._tracker.spatial_perceiver(*self._features(coarse, shares))
        return tokens[0], places[0]


class CompressedRecall(Recall):
    """Reads what `CompressingEncoder` writes."""

    def _asked(self, maps: Maps, known: Recollection) -> dict[str, Any]:
        return super()._asked(maps, known) | {"num_spatial_memory_tokens": known.frames}


class EdgeTracker(Tracker):
    """Follows objects with the memory of EdgeTAM."""

    @cached_property
    def _writer(self) -> MemoryEncoder:
        decoder = self._decoder
        return CompressingEncoder(self._tracker, decoder.side, decoder.encoder.mask_side)

    @cached_property
    def _reader(self) -> Recall:
        return CompressedRecall(self._tracker, self._writer.places)

"""A model that propagates objects no faster than a test lets it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from napari_sam3.engine.backends.base import Prediction
from tests.backends import DiskBackend, DiskEmbedding


class PacedBackend(DiskBackend):
    """Draws disks; held back, it takes one step to another frame for each that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.is_waiting = False
        self._is_held = False
        self._steps = threading.Semaphore(0)

    def hold_back(self) -> None:
        self._is_held = True

    def take_step(self) -> None:
        self._steps.release()

    def go_on(self) -> None:
        """Take all steps that are left."""
        self._is_held = False
        self._steps.release()

    def propagate(
        self, embedding: DiskEmbedding, tracks: Sequence[tuple[float, float]]
    ) -> list[Prediction]:
        if self._is_held:
            self.is_waiting = True
            self._steps.acquire(timeout=60)
            self.is_waiting = False
        return super().propagate(embedding, tracks)

"""The engine of napari-sam3 as a contender, with any of its models."""

from __future__ import annotations

from typing import Any

import numpy as np
from contest import Task, arguments, enter
from numpy.typing import NDArray

from napari_sam3.benchmarks.sam_models import alone, with_random_weights
from napari_sam3.benchmarks.stock_models import FULL_SIZE
from napari_sam3.engine import Budgets, Engine, Frames, Prompts
from napari_sam3.engine.backends.base import Backend

MEMORY = 10**9
"""Bytes of embeddings in memory; there are more on disk."""
DISK = 100 * 10**9


class Ours:
    """Asks a session, the way the dock and scripts do."""

    def __init__(self, backend: Backend, task: Task) -> None:
        self._engine = Engine(backend, Budgets(MEMORY, MEMORY, DISK))
        self._task = task
        self._session = self._engine.open(_lazily(task.movie), task.folder / "ours.sam3")
        self._clicks = 0

    def warm_up(self) -> None:
        """Embed an image and click on it, and forget it."""
        session = self._engine.open(np.array(self._task.movie[0]))
        session.segment(0, Prompts(points=[self._task.objects[0]]))
        session.close()

    def embed(self) -> None:
        """Embed all frames, until the last one is on disk, too."""
        for _ in self._session.encode():
            pass
        self._engine.embeddings.finish()

    def click(self, frame: int, point: NDArray[np.int64]) -> None:
        """Outline what lies at a point, (row, col), as a new object."""
        self._clicks += 1
        self._session.segment(frame, Prompts(points=[point]), object_id=1000 + self._clicks)

    def propagate(self) -> int:
        """Follow the objects through all frames and return how many masks have a pixel."""
        points = enumerate(self._task.objects, start=1)
        prompts = {(0, number): Prompts(points=[point]) for number, point in points}
        return sum(bool(mask.area) for mask in self._session.propagate(prompts))


def backend_of(model: str, device: str) -> Backend:
    """Build a model at full size with random weights, or load a folder or the embedded one."""
    if model in FULL_SIZE:
        return with_random_weights(model, device).backend
    return alone(model, device)


def _lazily(movie: NDArray[np.uint16]) -> Frames:
    def read(frame: int) -> NDArray[Any]:
        return np.array(movie[frame])[..., None]

    return Frames(len(movie), movie.shape[1:], 1, read)


def main() -> None:
    """Compete as asked on the command line."""
    asked = arguments().parse_args()
    task = Task.read(asked)
    enter(Ours(backend_of(asked.model, asked.device), task), task, asked.reopen)


if __name__ == "__main__":
    main()

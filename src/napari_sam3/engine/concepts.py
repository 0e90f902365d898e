"""Objects found without being prompted one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Row, col, row, col of two opposite corners, in pixels of the image."""


@dataclass(frozen=True, slots=True)
class Concept:
    """What all objects to be found have in common: a text, exemplars, or both."""

    text: str | None = None
    exemplars: Sequence[Box] = field(default=())  # boxes around objects that are meant
    negatives: Sequence[Box] = field(default=())  # boxes around objects that are not

    @property
    def is_empty(self) -> bool:
        """Whether nothing says what is meant."""
        return not (self.text or "").strip() and not len(self.exemplars)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All that may be an object on one image, kept so that a threshold can be moved afterwards."""

    shape: tuple[int, int]  # (H, W) of the image
    boxes: NDArray[np.int64]  # (N, 4): first row, first col, last row + 1, last col + 1
    masks: tuple[NDArray[np.bool_], ...]  # N crops of the size of their boxes
    scores: NDArray[np.float64]  # (N,) in 0..1
    frame: int = 0

    def __len__(self) -> int:
        """Return how many candidates there are, above any threshold or below it."""
        return len(self.scores)

    def labels(self, threshold: float = 0.5) -> NDArray[np.int32]:
        """Draw the candidates of at least this score, (H, W); the better one is on top.

        Label values are positions in ``scores`` plus one, so they stay when the threshold moves.
        """
        labels = np.zeros(self.shape, np.int32)
        for index in np.argsort(self.scores, kind="stable"):
            if self.scores[index] < threshold:
                continue
            top, left, bottom, right = self.boxes[index]
            labels[top:bottom, left:right][self.masks[index]] = index + 1
        return labels

"""What is asked about one object, in the terms of a model of the SAM family."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..backend import Answer
from ..masks import bounds
from ..prompts import Prompts
from .pictures import Scaling

SURE = 10.0
"""The logit of a pixel that an outline encloses, and the negative one of all others."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Prompts for one object, on the square of a model."""

    points: NDArray[np.float32]  # (N, 2) as (x, y) in pixels of the square
    labels: NDArray[np.int32]  # (N,), 1 inside of the object, 0 outside
    box: NDArray[np.float32] | None  # (4,) as (x, y, x, y) of the first and the last corner
    drawn: Tensor | None  # (h, w) logits of what is known of its mask, as large as an answer

    @classmethod
    def of(cls, prompts: Prompts, previous: Answer | None, scaling: Scaling, side: int) -> Self:
        """Ask what prompts ask.

        What was answered before is corrected. An outline is given together with its box, since
        the models have learned to see masks only beside other prompts. Several boxes are one
        that holds them all. ``side`` is that of the answers' logits.
        """
        before = _preferred(previous)
        extent = _extent(prompts)
        if before is None and prompts.mask is not None:
            before = outline_logits(prompts.mask, scaling, side)
        return cls(
            scaling.points(prompts.points),
            prompts.positive.astype(np.int32),
            None if extent is None else scaling.points(extent).reshape(4),
            before,
        )

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is a single click, which may mean an object or a part of it."""
        return len(self.points) == 1 and self.box is None and self.drawn is None

    @property
    def kind(self) -> Hashable:
        """What questions have in common that are answered in one pass.

        A shorter question is not filled up to the length of a longer one: the models take notice
        of the filling, and an answer would depend on what else is asked.
        """
        return len(self.points), self.box is None, self.is_ambiguous


def outline_logits(mask: NDArray[np.bool_], scaling: Scaling, side: int) -> Tensor:
    """Shrink or enlarge a mask (H, W) to logits (side, side)."""
    rows, cols = scaling.filled(side)
    shares = F.interpolate(
        torch.from_numpy(mask.astype(np.float32))[None, None],
        size=(rows, cols),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    padded = F.pad(shares[0, 0], (0, side - cols, 0, side - rows))
    return padded * (2 * SURE) - SURE


def _extent(prompts: Prompts) -> NDArray[np.float64] | None:
    """Return the two corners, (2, 2), that hold all boxes, or else the outline."""
    if len(prompts.boxes):
        return np.stack([prompts.boxes[:, :2].min(0), prompts.boxes[:, 2:].max(0)])
    return None if prompts.mask is None else _corners(prompts.mask)


def _preferred(previous: Answer | None) -> Tensor | None:
    """Return the logits of the reading that is first by now, whichever was best."""
    if previous is None or not previous.memory:
        return None
    logits: Tensor = previous.memory[previous.readings[0].name]
    return logits


def _corners(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the (row, col) of the first and the last pixel, (2, 2), of a mask (H, W)."""
    top, left, bottom, right = bounds(mask)
    return np.array([[top, left], [bottom - 1, right - 1]], np.float64)

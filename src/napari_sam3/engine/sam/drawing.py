"""From the logits of a model to masks of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..masks import Reading, ReadingName, named_readings, trimmed
from .pictures import Scaling


def draw(logits: Tensor, scaling: Scaling) -> NDArray[np.bool_]:
    """Draw where logits (h, w) of the square are positive on the image, (H, W)."""
    if scaling.size != (scaling.side, scaling.side):
        logits = _enlarged(logits, (scaling.side, scaling.side))
        logits = logits[: scaling.size[0], : scaling.size[1]]
    return (_enlarged(logits, scaling.shape) > 0).cpu().numpy()


def draw_readings(
    logits: Tensor, scores: Sequence[float], scaling: Scaling
) -> tuple[tuple[Reading, ...], dict[ReadingName, Tensor]]:
    """Draw logits (K, h, w) one by one; return the readings, and the logits of each by name.

    Of a reading only the pixels around it are kept.
    """
    masks = [draw(one, scaling) for one in logits]
    readings = named_readings(masks, scores)
    drawn = {id(mask): one for mask, one in zip(masks, logits, strict=True)}
    known = {
        # a copy, so that one answer does not keep those that were decoded together with it
        reading.name: drawn[id(reading.pixels)].to("cpu", copy=True)
        for reading in readings
    }
    return tuple(map(trimmed, readings)), known


def _enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge or shrink one map, (h, w)."""
    return F.interpolate(logits[None, None].float(), size, mode="bilinear", align_corners=False)[
        0, 0
    ]

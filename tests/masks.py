"""Masks as tests need them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam3.values import Box, Mask


def mask_of(
    pixels: NDArray[np.bool_],
    score: float = 1.0,
    *,
    corner: tuple[int, int] = (0, 0),
    shape: tuple[int, int] | None = None,
    **facts: Any,
) -> Mask:
    """Return the mask of pixels (h, w) whose first one lies at a corner of a frame (H, W)."""
    box = Box(0, 0, *pixels.shape).shifted(*corner)
    return Mask(pixels, box, shape or pixels.shape, score, **facts)

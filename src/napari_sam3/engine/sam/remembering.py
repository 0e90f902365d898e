"""From a mask on an image to what is remembered of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

ZOOM = 4
"""The memory reads masks that many times larger than the decoder draws them."""


class MemoryEncoder:
    """Writes the memory of SAM 2 or SAM 3.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the memory.
    side : int
        Of the square that the model sees, in pixels.
    mask_side : int
        Of the masks that its decoder draws.
    """

    def __init__(self, tracker: Any, side: int, mask_side: int) -> None:
        self._tracker = tracker
        self._side = side
        self._mask_side = mask_side

    def given(self, mask: NDArray[np.bool_]) -> Tensor:
        """Put a mask, (H, W), on the model's square: (1, 1, side, side), ones and zeros."""
        pixels = torch.from_numpy(mask.astype(np.float32))[None, None]
        size = (self._side, self._side)
        shares = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        return (shares >= min(0.5, float(shares.max()))).float()  # the smallest is not lost

    def encode_given(self, coarse: Tensor, given: Tensor) -> Tensor:
        """Encode a mask from `given` on a coarse map, (1, C, g, g), as tokens, (L, M)."""
        inside = enlarged(given, ZOOM * self._mask_side) > 0.5
        return self._encode(coarse, inside.float())[0]

    def encode_seen(self, coarse: Tensor, logits: Tensor) -> Tensor:
        """Encode logits (h, w) of a mask on a coarse map, (1, C, g, g), as tokens, (L, M)."""
        square = enlarged(logits[None, None], self._side)
        shares = torch.sigmoid(enlarged(square, ZOOM * self._mask_side))
        return self._encode(coarse, shares)[0]

    @cached_property
    def places(self) -> Tensor:
        """The position encoding of the tokens of a frame, (L, M), the same for all frames."""
        parameter = self._tracker.no_memory_embedding
        grid, side = self._mask_side // 4, ZOOM * self._mask_side
        coarse = parameter.view(1, -1, 1, 1).expand(-1, -1, grid, grid)
        return self._encode(coarse, parameter.new_zeros(1, 1, side, side))[1]

    def _encode(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a mask, (1, 1, S, S) in 0..1, as tokens and their places, both (L, M)."""
        tokens, places = self._features(coarse, shares)
        tokens, places = (part[0].flatten(1).T for part in (tokens, places))
        return tokens.to(torch.bfloat16), places  # the models have learned with this precision

    def _features(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        config = self._tracker.config
        scaled = shares * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        features: tuple[Tensor, Tensor] = self._tracker.memory_encoder(
            coarse, scaled.to(coarse.dtype)
        )
        return features


def enlarged(pixels: Tensor, side: int) -> Tensor:
    """Enlarge a map, (1, 1, h, w), to a square."""
    return F.interpolate(pixels, (side, side), mode="bilinear")

"""Questions as the tensors that a mask decoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .questions import Question

NO_CLICK = -1
"""The label of a click that says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What is said about N objects, with T tokens each."""

    clicks: Tensor  # (N, 1, T, C) clicks and corners of boxes
    masks: Tensor  # (N, C, g, g) what is known of each mask
    is_ambiguous: bool  # whether several masks are wanted of each object


class PromptEncoder:
    """Encodes questions in float32: in half precision, clicks would be pixels beside their place.

    Parameters
    ----------
    encoder : Module
        The prompt encoder of any model of the SAM family. It becomes float32.
    dtype, device
        Of what comes out.
    """

    def __init__(self, encoder: Any, dtype: torch.dtype, device: torch.device) -> None:
        self._encoder = encoder.float()
        self._dtype = dtype
        self._device = device
        self.mask_side = 4 * int(encoder.image_embedding_size[0])  # of the decoder's masks

    def encode(self, questions: Sequence[Question]) -> Encoded:
        """Encode questions of one kind."""
        first = questions[0]
        points = labels = boxes = None
        if len(first.points):
            points = self._stacked([one.points for one in questions])
            labels = self._stacked([one.labels for one in questions])
        if first.box is not None:
            boxes = self._stacked([one.box for one in questions if one.box is not None])
        clicks, nothing = self._encoder(points, labels, boxes, None)
        masks = self._masks([one.drawn for one in questions], nothing)
        return self._encoded(clicks, masks, first.is_ambiguous)

    def encode_nothing(self, count: int) -> Encoded:
        """Encode that nothing is said about so many objects."""
        points = torch.zeros(count, 1, 1, 2, device=self._device)
        labels = torch.full((count, 1, 1), NO_CLICK, device=self._device)
        clicks, masks = self._encoder(points, labels, None, None)
        return self._encoded(clicks, masks, True)

    def encode_masks(self, drawn: Tensor) -> Encoded:
        """Encode nothing but the logits of masks, (N, 1, h, w)."""
        masks = self._encoder.mask_embed(drawn.float()).to(self._dtype)
        return replace(self.encode_nothing(len(drawn)), masks=masks)

    def _masks(self, drawn: Sequence[Tensor | None], nothing: Tensor) -> Tensor:
        masks = nothing.expand(len(drawn), -1, -1, -1).clone()
        known = [index for index, one in enumerate(drawn) if one is not None]
        if known:
            stacked = torch.stack([one for one in drawn if one is not None])[:, None]
            masks[known] = self._encoder.mask_embed(stacked.to(self._device, torch.float32))
        return masks

    def _encoded(self, clicks: Tensor, masks: Tensor, is_ambiguous: bool) -> Encoded:
        return Encoded(clicks.to(self._dtype), masks.to(self._dtype), is_ambiguous)

    def _stacked(self, arrays: Sequence[NDArray[np.generic]]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)[:, None]).to(self._device)

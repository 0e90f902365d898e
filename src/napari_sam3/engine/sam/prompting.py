"""Answering prompts: many objects are one pass through the mask decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..backend import Answer
from ..prompts import Prompts
from .asking import Guess, View
from .encoding import Encoded, PromptEncoder
from .maps import Maps
from .passes import Passes
from .pictures import Scaling
from .questions import Question


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What comes out of the mask decoder for N objects, K masks of each."""

    logits: Tensor  # (N, K, h, w) float32
    scores: Tensor  # (N, K) float32, predicted intersection over union, 0..1
    tokens: Tensor  # (N, K, C) what the decoder knows of each mask
    presence: Tensor  # (N,) float32 logits

    def guesses(self) -> list[Guess]:
        """Return what is said about each object."""
        presence = torch.sigmoid(self.presence).tolist()
        return [Guess(*one) for one in zip(self.logits, self.scores, presence, strict=True)]


class PromptDecoder:
    """Answers prompts with the prompt encoder and the mask decoder of SAM 2, SAM 3 or EdgeTAM.

    A single click may mean a whole, a part or a part of that, and gets three masks. All else gets
    the one mask that the model has for clear prompts.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the prompt encoder and the mask decoder.
    side : int
        Of the square that the model sees, in pixels.
    dtype, device
        Of the mask decoder.
    """

    def __init__(
        self, tracker: Any, side: int, dtype: torch.dtype, device: str | torch.device
    ) -> None:
        self._decoder = tracker.mask_decoder
        self._no_memory = tracker.no_memory_embedding.view(1, -1, 1, 1)
        self._places = place_encoding(tracker).to(dtype)
        self.side = side
        self.encoder = PromptEncoder(tracker.prompt_encoder, dtype, torch.device(device))
        self.passes = Passes()

    def segment(
        self, maps: Maps, prompts: Sequence[Prompts], previous: Sequence[Answer | None]
    ) -> list[Answer]:
        """Answer the prompts of several objects of one image; see `Backend.segment`."""
        return self.view(maps).segment(prompts, previous)

    def view(self, maps: Maps) -> View:
        """Look at one image."""
        scaling = Scaling.squeezed(maps.shape, self.side)
        return View(partial(self._ask, maps), scaling, self.encoder.mask_side, self.passes)

    def decode(self, maps: Maps, coarse: Tensor, said: Encoded) -> Decoded:
        """Decode what is said about N objects, each on its own coarse map, (N, C, g, g)."""
        logits, scores, tokens, presence = self._decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self._places,
            sparse_prompt_embeddings=said.clicks,
            dense_prompt_embeddings=said.masks,
            multimask_output=said.is_ambiguous,
            high_resolution_features=[maps.fine, maps.middle],
        )
        return Decoded(
            logits[:, 0].float(),
            scores[:, 0].float().clamp(0, 1),
            tokens[:, 0],
            presence.flatten().float(),
        )

    def _ask(self, maps: Maps, questions: Sequence[Question]) -> list[Guess]:
        """Answer questions of one kind in one pass, without memory of other images."""
        coarse = (maps.coarse + self._no_memory).expand(len(questions), -1, -1, -1)
        return self.decode(maps, coarse, self.encoder.encode(questions)).guesses()


def place_encoding(model: Any) -> Tensor:
    """Encode the places of the coarse map, (1, C, g, g), as precisely as those of clicks."""
    model.shared_image_embedding.float()
    places: Tensor = model.get_image_wide_positional_embeddings()
    return places

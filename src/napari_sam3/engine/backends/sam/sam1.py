"""SAM 1, which knows single images: many models for microscopy are SAM 1, trained further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....values import Candidates, Mask, Prompts, WeightsError
from ... import without_triton  # noqa: F401  before torch or transformers are imported
from ...devices import checked_device
from ...weights.checkpoints import read_config
from ..base import Backend, Embedding, Packed, Prediction, own
from ..micro_batches import MicroBatches, enough_memory
from ..tensors import packed_shape, packed_tensors, unpacked_tensors
from .loading import ADVICE, digest, load_model, model_name
from .mask_decoding import (
    DecoderOutput,
    DecoderQuery,
    PromptEncoder,
    View,
    draw,
    positional_encoding,
)
from .point_grid import find_all
from .precision import Precision, calculating, checked_precision, parted, stored
from .preprocessing import IMAGENET, Scaling, pixel_values, tell_steps

from transformers import SamModel  # isort: skip

GONE = 0.5
"""An object whose mask gets a lower score on the next image is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class Sam1Embedding:
    """What the image encoder says about one image."""

    coarse: Tensor  # (1, 256, g, g)
    shape: tuple[int, int]  # (H, W) of the image

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.coarse.nbytes


class Sam1Backend(Backend):
    """Answers clicks, boxes and outlines, and finds all objects.

    Use `load`. The methods are those of `Backend`. The model has no memory: an object is followed
    by asking for what is now where it was, so only what moves by less than its size is found
    again, and an object counts as gone when the model trusts its new mask little.
    """

    def __init__(
        self, model: SamModel, name: str, device: str, precision: Precision = "float32"
    ) -> None:
        self.name = name
        self.device = device
        self._model: Any = nn.Module.to(model, device)
        self._precision = precision
        self._side: int = self._model.prompt_encoder.input_image_size
        self.revision = f"sam-{digest(model)}-{self._side}-{precision}"
        self._places = positional_encoding(model)
        tell_steps(self._model.vision_encoder.layers)
        self._encoder = PromptEncoder(model.prompt_encoder, torch.float32, torch.device(device))
        self._micro_batches = MicroBatches()

    @classmethod
    def load(cls, folder: Path, device: str = "auto", precision: Precision | None = None) -> Self:
        """Load the folder of a model such as facebook/sam-vit-base.

        Parameters
        ----------
        folder : Path
            Where weights and configuration lie.
        device : str
            "auto", "cpu", "cuda" or "mps".
        precision : {"float32", "bfloat16"}, optional
            In which numbers images are embedded; by default short ones where they are
            faster.

        Raises
        ------
        WeightsError
            If the folder lacks something, or holds another model.
        ModelError
            If there is no such device, or it does not know the precision.
        """
        chosen = checked_device(device)
        if read_config(folder).get("model_type") != "sam":
            raise WeightsError(f"The folder {folder} does not hold SAM 1: {ADVICE}")
        model = load_model(SamModel, folder)
        return cls(model, model_name(folder), chosen, checked_precision(chosen, precision))

    @torch.inference_mode()
    def encode(self, image: NDArray[np.float32]) -> Sam1Embedding:
        """Embed one image, (H, W, 3)."""
        return self.encode_batch([image])[0]

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[Sam1Embedding]:
        """Embed several images, each (H, W, 3), in one pass."""
        with calculating(self.device, self._precision), enough_memory():
            pixels = torch.cat([self._square(image) for image in images])
            coarse = self._model.vision_encoder(pixels).last_hidden_state
        coarse = parted(stored(coarse, self._precision))
        return [
            Sam1Embedding(one, image.shape[:2]) for one, image in zip(coarse, images, strict=True)
        ]

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        seen = own(embedding, Sam1Embedding)
        return packed_tensors({"coarse": seen.coarse}, {"shape": list(seen.shape)})

    def unpack(self, packed: Packed) -> Sam1Embedding:
        """Return the embedding that was packed, as it was."""
        coarse = unpacked_tensors(packed, self.device)["coarse"]
        return Sam1Embedding(coarse, packed_shape(packed))

    @torch.inference_mode()
    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        """Answer the prompts of several objects in one pass."""
        return self._view(embedding).segment(prompts, previous)

    @torch.inference_mode()
    def everything(self, embedding: Embedding) -> Candidates:
        """Find all objects of the image, without prompts."""
        return find_all(self._view(embedding))

    @torch.inference_mode()
    def update_memory(
        self, track: DecoderQuery | None, embedding: Embedding, answer: Prediction
    ) -> DecoderQuery:
        """Return the question whether an object is still where it was answered to be."""
        return self._view(embedding).question(Prompts(mask=answer.pixels), None)

    @torch.inference_mode()
    def propagate(self, embedding: Embedding, tracks: Sequence[DecoderQuery]) -> list[Prediction]:
        """Ask for what is where the objects were, in one pass."""
        view = self._view(embedding)
        return [_propagated(guess, view.scaling) for guess in view.guess(tracks)]

    def _square(self, image: NDArray[np.float32]) -> Tensor:
        scaling = Scaling.fitted(image.shape[:2], self._side)
        return pixel_values(image, scaling, IMAGENET, self.device)

    def _view(self, embedding: Embedding) -> View:
        seen = own(embedding, Sam1Embedding)
        coarse = seen.coarse.to(self.device, torch.float32)
        scaling = Scaling.fitted(seen.shape, self._side)
        return View(
            partial(self._ask, coarse), scaling, self._encoder.mask_side, self._micro_batches
        )

    def _ask(self, coarse: Tensor, questions: Sequence[DecoderQuery]) -> list[DecoderOutput]:
        """Answer questions of one kind on a coarse map, (1, C, g, g), in one pass."""
        said = self._encoder.encode(questions)
        logits, scores = self._model.mask_decoder(
            image_embeddings=coarse.expand(len(questions), -1, -1, -1),
            image_positional_embeddings=self._places,
            sparse_prompt_embeddings=said.clicks,
            dense_prompt_embeddings=said.masks,
            multimask_output=said.is_ambiguous,
        )
        return [
            DecoderOutput(*one) for one in zip(logits[:, 0], scores[:, 0].clamp(0, 1), strict=True)
        ]


def _propagated(guess: DecoderOutput, scaling: Scaling) -> Prediction:
    score = float(guess.scores[0])
    mask = draw(guess.logits[0], scaling)
    if score < GONE:
        return Prediction((Mask.of(np.zeros_like(mask), 0.0),), score)
    return Prediction((Mask.of(mask, score),), score)

"""SAM 1, a model of single images: many models for microscopy are SAM 1, trained further."""

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
from ...devices import Precision, checked_device
from ...weights.checkpoints import read_config
from ..base import Backend, Embedding, Packed, Prediction, own
from ..micro_batches import MicroBatches, enough_memory
from ..tensors import packed_shape, packed_tensors, unpacked_tensors
from .loading import ADVICE, digest, load_model, model_name
from .mask_decoding import (
    DecoderOutput,
    DecoderQuery,
    ImageDecoder,
    PromptEncoder,
    positional_encoding,
    upscaled_mask,
)
from .point_grid import generate_masks
from .precision import autocast, checked_precision, split_batch, to_16_bits
from .preprocessing import IMAGENET_NORMALISATION, Resizing, preprocess, report_layers

from transformers import SamModel  # isort: skip

GONE_SCORE = 0.5
"""An object whose mask gets a lower score on the next image is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class Sam1Embedding:
    """The output of the image encoder for one image."""

    coarse: Tensor  # (1, 256, g, g)
    shape: tuple[int, int]  # (H, W) of the image

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.coarse.nbytes


class Sam1Backend(Backend):
    """Takes points, boxes and masks, and detects all objects.

    Use `load`. The model has no memory: an object is propagated with its last mask as the prompt,
    so only what moves by less than its size is segmented again, and an object counts as gone when
    the predicted score of its new mask is low.
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
        self._positional_encoding = positional_encoding(model)
        report_layers(self._model.vision_encoder.layers)
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
            In which images are encoded; by default bfloat16 where it is faster.

        Raises
        ------
        WeightsError
            If the folder lacks something, or holds another model.
        ModelError
            If there is no such device, or it is not built for the precision.
        """
        checked = checked_device(device)
        if read_config(folder).get("model_type") != "sam":
            raise WeightsError(f"The folder {folder} does not hold SAM 1: {ADVICE}")
        model = load_model(SamModel, folder)
        return cls(model, model_name(folder), checked, checked_precision(checked, precision))

    @torch.inference_mode()
    def encode(self, image: NDArray[np.float32]) -> Sam1Embedding:
        """Encode one image, (H, W, 3)."""
        return self.encode_batch([image])[0]

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[Sam1Embedding]:
        """Encode several images, each (H, W, 3), in one batch."""
        with autocast(self.device, self._precision), enough_memory():
            pixels = torch.cat([self._square(image) for image in images])
            coarse = self._model.vision_encoder(pixels).last_hidden_state
        split = split_batch(to_16_bits(coarse, self._precision))
        return [
            Sam1Embedding(coarse, image.shape[:2])
            for coarse, image in zip(split, images, strict=True)
        ]

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        encoded = own(embedding, Sam1Embedding)
        return packed_tensors({"coarse": encoded.coarse}, {"shape": list(encoded.shape)})

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
        """Segment several objects by their prompts, in one batch."""
        return self._on_image(embedding).segment(prompts, previous)

    @torch.inference_mode()
    def everything(self, embedding: Embedding) -> Candidates:
        """Detect all objects of the image, without prompts."""
        return generate_masks(self._on_image(embedding))

    @torch.inference_mode()
    def update_memory(
        self, memory: DecoderQuery | None, embedding: Embedding, prediction: Prediction
    ) -> DecoderQuery:
        """Return a query with the mask of the object, all that this model keeps of it."""
        return self._on_image(embedding).query(Prompts(mask=prediction.pixels), None)

    @torch.inference_mode()
    def propagate(self, embedding: Embedding, memories: Sequence[DecoderQuery]) -> list[Prediction]:
        """Segment objects where they were on the image before, in one batch."""
        decoder = self._on_image(embedding)
        return [_propagated(output, decoder.resizing) for output in decoder.decode(memories)]

    def _square(self, image: NDArray[np.float32]) -> Tensor:
        resizing = Resizing.longest_side(image.shape[:2], self._side)
        return preprocess(image, resizing, IMAGENET_NORMALISATION, self.device)

    def _on_image(self, embedding: Embedding) -> ImageDecoder:
        encoded = own(embedding, Sam1Embedding)
        coarse = encoded.coarse.to(self.device, torch.float32)
        return ImageDecoder(
            partial(self._decode_batch, coarse),
            Resizing.longest_side(encoded.shape, self._side),
            self._encoder.mask_side,
            self._micro_batches,
        )

    def _decode_batch(self, coarse: Tensor, queries: Sequence[DecoderQuery]) -> list[DecoderOutput]:
        """Decode queries of one batch key on coarse features, (1, C, g, g)."""
        prompts = self._encoder.encode(queries)
        logits, scores = self._model.mask_decoder(
            image_embeddings=coarse.expand(len(queries), -1, -1, -1),
            image_positional_embeddings=self._positional_encoding,
            sparse_prompt_embeddings=prompts.sparse,
            dense_prompt_embeddings=prompts.dense,
            multimask_output=prompts.multimask_output,
        )
        objects = zip(logits[:, 0], scores[:, 0].clamp(0, 1), strict=True)
        return [DecoderOutput(*output) for output in objects]


def _propagated(output: DecoderOutput, resizing: Resizing) -> Prediction:
    score = float(output.scores[0])
    if score < GONE_SCORE:
        return Prediction((Mask.absent(resizing.shape),), score)
    return Prediction((Mask.of(upscaled_mask(output.logits[0], resizing), score),), score)

"""SAM 3: a model that detects what a text names, and propagates what is clicked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from ....values import Appearance, Candidates, Concept, Corners, Prompts, WeightsError
from ... import without_triton  # noqa: F401  before torch or transformers are imported
from ...devices import Precision, checked_device
from ..base import Backend, Embedding, Packed, Prediction, own
from ..micro_batches import enough_memory
from ..tensors import packed_shape, packed_tensors, unpacked_tensors
from .concepts import Detector, TextEncoder
from .loading import model_name
from .mask_decoding import PromptDecoder
from .memory_bank import MemoryBank, Tracker
from .point_grid import generate_masks
from .preprocessing import SAM3_NORMALISATION, FeaturePyramid, Resizing, preprocess
from .sam3_model import Sam3, Sam3Embedding, check_model_type

TOKENIZERS = ("tokenizer.json", "vocab.json")


class Sam3Backend(Backend):
    """Takes texts, exemplars, points, boxes and masks, all on one embedding of an image.

    Use `load`.
    """

    reads_text = True
    reads_exemplars = True

    def __init__(self, model: Sam3, text_encoder: TextEncoder, name: str) -> None:
        self.name = name
        self.revision = model.revision
        self.device = model.device
        self._model = model
        self._detector = Detector(model, text_encoder)
        self._decoder = PromptDecoder(model.tracker, model.side, torch.float32, model.device)
        self._tracker = Tracker(model.tracker, self._decoder)

    @classmethod
    def load(cls, folder: Path, device: str = "auto", precision: Precision | None = None) -> Self:
        """Load the folder of a checkpoint such as facebook/sam3.

        Parameters
        ----------
        folder : Path
            Where weights, configuration and tokenizer lie.
        device : str
            "auto", "cpu", "cuda" or "mps".
        precision : {"float32", "bfloat16"}, optional
            In which images and texts are encoded; by default bfloat16 where it is faster.

        Raises
        ------
        WeightsError
            If the folder lacks something, or holds another model.
        ModelError
            If there is no such device, or it is too small or not built for the precision.
        """
        check_model_type(folder)
        _check_tokenizer(folder)
        with enough_memory():
            model = Sam3.load(folder, checked_device(device), precision)
        return cls(model, TextEncoder.load(folder, model), model_name(folder))

    def encode(self, image: NDArray[np.float32]) -> Sam3Embedding:
        """Encode one image, (H, W, 3)."""
        return self.encode_batch([image])[0]

    @enough_memory()
    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[Sam3Embedding]:
        """Encode several images, each (H, W, 3), in one batch."""
        shapes = [image.shape[:2] for image in images]
        squares = [
            preprocess(
                image,
                Resizing.to_square(shape, self._model.side),
                SAM3_NORMALISATION,
                self.device,
            )
            for image, shape in zip(images, shapes, strict=True)
        ]
        return self._model.encode_batch(torch.cat(squares), shapes)

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        encoded = own(embedding, Sam3Embedding)
        return packed_tensors({"tokens": encoded.tokens}, {"shape": list(encoded.shape)})

    def unpack(self, packed: Packed) -> Sam3Embedding:
        """Return the embedding that was packed, as it was."""
        tokens = unpacked_tensors(packed, self.device)["tokens"]
        return Sam3Embedding(tokens, packed_shape(packed))

    @torch.inference_mode()
    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        """Segment several objects by their prompts, in one batch."""
        return self._decoder.on_image(self._pyramid(embedding)).segment(prompts, previous)

    @torch.inference_mode()
    def everything(self, embedding: Embedding) -> Candidates:
        """Detect all objects of the image, without prompts."""
        return generate_masks(self._decoder.on_image(self._pyramid(embedding)))

    @enough_memory()
    @torch.inference_mode()
    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Detect all objects of the image that a text or exemplars describe."""
        return self._detector.find(own(embedding, Sam3Embedding), concept)

    @enough_memory()
    @torch.inference_mode()
    def appearance(self, embedding: Embedding, box: Corners) -> Appearance:
        """Return what objects similar to the one in a box are recognised by on other images."""
        return self._detector.appearance(own(embedding, Sam3Embedding), box)

    @torch.inference_mode()
    def update_memory(
        self, memory: MemoryBank | None, embedding: Embedding, prediction: Prediction
    ) -> MemoryBank:
        """Return the memory bank of an object after the image, on which it is as predicted."""
        pyramid = self._pyramid(embedding)
        with self._model.autocast():
            return self._tracker.update_memory(memory, pyramid, prediction)

    @torch.inference_mode()
    def propagate(self, embedding: Embedding, memories: Sequence[MemoryBank]) -> list[Prediction]:
        """Segment objects on the next image by their memory banks, in one batch."""
        pyramid = self._pyramid(embedding)
        with self._model.autocast():
            return self._tracker.propagate(pyramid, memories)

    def _pyramid(self, embedding: Embedding) -> FeaturePyramid:
        return self._model.pyramid(own(embedding, Sam3Embedding))


def _check_tokenizer(folder: Path) -> None:
    """Refuse a folder without a tokenizer, before gigabytes of weights are read."""
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise WeightsError(
            f"{folder} lacks a tokenizer: copy tokenizer.json and tokenizer_config.json of "
            "facebook/sam3 into it."
        )

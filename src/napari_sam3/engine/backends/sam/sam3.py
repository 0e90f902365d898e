"""SAM 3: a model that finds what a text names, and follows what is clicked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from ....values import Appearance, Candidates, Concept, Corners, Prompts, WeightsError
from ... import without_triton  # noqa: F401  before torch or transformers are imported
from ...devices import checked_device
from ..base import Backend, Embedding, Packed, Prediction, own
from ..micro_batches import enough_memory
from ..tensors import packed_shape, packed_tensors, unpacked_tensors
from .concepts import Detector, Texts
from .loading import model_name
from .mask_decoding import PromptDecoder
from .memory_bank import Track, Tracker
from .point_grid import everything
from .precision import Precision
from .preprocessing import CENTRED, Maps, Scaling, pixel_values
from .sam3_model import Sam3, Sam3Embedding

TOKENIZERS = ("tokenizer.json", "vocab.json")


class Sam3Backend(Backend):
    """Answers texts, exemplars, clicks, boxes and outlines from one embedding of an image.

    Use `load`. The methods are those of `Backend`.
    """

    reads_text = True
    reads_exemplars = True

    def __init__(self, model: Sam3, texts: Texts, name: str) -> None:
        self.name = name
        self.revision = model.revision
        self.device = model.device
        self._model = model
        self._detector = Detector(model, texts)
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
            In which numbers images and texts are encoded; by default short ones where they are
            faster.

        Raises
        ------
        WeightsError
            If the folder lacks something, or holds another model.
        ModelError
            If there is no such device, or it is too small or not built for the precision.
        """
        if not any((folder / name).is_file() for name in TOKENIZERS):
            raise WeightsError(
                f"{folder} lacks a tokenizer: copy tokenizer.json and tokenizer_config.json of "
                "facebook/sam3 into it."
            )
        with enough_memory():
            model = Sam3.load(folder, checked_device(device), precision)
        return cls(model, Texts.load(folder, model), model_name(folder))

    def encode(self, image: NDArray[np.float32]) -> Sam3Embedding:
        """Embed one image, (H, W, 3)."""
        return self.encode_batch([image])[0]

    @enough_memory()
    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[Sam3Embedding]:
        """Embed several images, each (H, W, 3), in one pass."""
        shapes = [image.shape[:2] for image in images]
        squares = [
            pixel_values(image, Scaling.resized(shape, self._model.side), CENTRED, self.device)
            for image, shape in zip(images, shapes, strict=True)
        ]
        return self._model.embed_all(torch.cat(squares), shapes)

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        seen = own(embedding, Sam3Embedding)
        return packed_tensors({"tokens": seen.tokens}, {"shape": list(seen.shape)})

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
        """Answer the prompts of several objects in one pass."""
        return self._decoder.segment(self._maps(embedding), prompts, previous)

    @torch.inference_mode()
    def everything(self, embedding: Embedding) -> Candidates:
        """Find all objects of the image, without prompts."""
        return everything(self._decoder, self._maps(embedding))

    @enough_memory()
    @torch.inference_mode()
    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Find all objects of the image that a text or exemplars describe."""
        return self._detector.find(own(embedding, Sam3Embedding), concept)

    @enough_memory()
    @torch.inference_mode()
    def appearance(self, embedding: Embedding, box: Corners) -> Appearance:
        """Return what objects like the one in a box of the image are recognised by elsewhere."""
        return self._detector.appearance(own(embedding, Sam3Embedding), box)

    @torch.inference_mode()
    def update_memory(self, track: Track | None, embedding: Embedding, answer: Prediction) -> Track:
        """Return the track of an object that is on the embedded image as answered."""
        maps = self._maps(embedding)
        with self._model.calculating():
            return self._tracker.update_memory(track, maps, answer)

    @torch.inference_mode()
    def propagate(self, embedding: Embedding, tracks: Sequence[Track]) -> list[Prediction]:
        """Find the tracked objects on the next image, in one pass."""
        maps = self._maps(embedding)
        with self._model.calculating():
            return self._tracker.propagate(maps, tracks)

    def _maps(self, embedding: Embedding) -> Maps:
        return self._model.maps(own(embedding, Sam3Embedding))

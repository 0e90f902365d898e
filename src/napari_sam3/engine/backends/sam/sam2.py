"""SAM 2 and its small relative EdgeTAM: models that propagate what is clicked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....values import Candidates, Prompts, WeightsError
from ... import without_triton  # noqa: F401  before torch or transformers are imported
from ...devices import Precision, checked_device
from ...weights.checkpoints import read_config
from ..base import Backend, Embedding, Packed, Prediction, own
from ..micro_batches import enough_memory
from ..tensors import packed_shape, packed_tensors, unpacked_tensors
from .attention import use_fastest_attention
from .loading import ADVICE, digest, load_model, model_name
from .mask_decoding import PromptDecoder
from .memory_bank import MemoryAttention, MemoryBank, MemoryEncoder, MemoryTokens, Tracker
from .point_grid import generate_masks
from .precision import autocast, checked_precision, split_batch, to_16_bits
from .preprocessing import (
    IMAGENET_NORMALISATION,
    FeaturePyramid,
    Resizing,
    preprocess,
    report_layers,
)

from transformers import EdgeTamVideoModel, PreTrainedModel, Sam2HieraDetModel, Sam2VideoModel  # isort: skip


MODEL_CLASSES: dict[str, type[PreTrainedModel]] = {
    "sam2": Sam2VideoModel,
    "sam2_video": Sam2VideoModel,
    "edgetam": EdgeTamVideoModel,
    "edgetam_video": EdgeTamVideoModel,
}
"""The class of transformers for each model type of a configuration."""
LEVELS = ("fine", "middle", "coarse")


@dataclass(frozen=True, slots=True, eq=False)
class Sam2Embedding:
    """The output of the image encoder for one image."""

    levels: tuple[Tensor, Tensor, Tensor]  # those of a `FeaturePyramid`
    shape: tuple[int, int]  # (H, W) of the image

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return sum(level.nbytes for level in self.levels)


class Sam2Backend(Backend):
    """Takes points, boxes and masks, propagates objects, and detects all of them.

    Use `load`. In bfloat16, images are encoded and objects are propagated; prompts are decoded in
    float32.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        name: str,
        device: str,
        precision: Precision = "float32",
    ) -> None:
        self.name = name
        self.device = device
        self._model: Any = nn.Module.to(model, device)
        self._precision = precision
        self._side = int(model.config.image_size)
        self.revision = f"{model.config.model_type}-{digest(model)}-{self._side}-{precision}"
        use_fastest_attention(model, device, precision)
        report_layers(_encoder_layers(model))
        self._decoder = PromptDecoder(model, self._side, torch.float32, device)
        tracker = EdgeTracker if isinstance(model, EdgeTamVideoModel) else Tracker
        self._tracker = tracker(model, self._decoder)

    @classmethod
    def load(cls, folder: Path, device: str = "auto", precision: Precision | None = None) -> Self:
        """Load the folder of a model such as facebook/sam2.1-hiera-tiny.

        Parameters
        ----------
        folder : Path
            Where weights and configuration lie.
        device : str
            "auto", "cpu", "cuda" or "mps".
        precision : {"float32", "bfloat16"}, optional
            In which to compute; by default bfloat16 where it is faster.

        Raises
        ------
        WeightsError
            If the folder lacks something, or holds another model.
        ModelError
            If there is no such device, or it is not built for the precision.
        """
        checked = checked_device(device)
        model_class = MODEL_CLASSES.get(str(read_config(folder).get("model_type")))
        if model_class is None:
            raise WeightsError(f"The folder {folder} holds neither SAM 2 nor EdgeTAM: {ADVICE}")
        model = load_model(model_class, folder)
        return cls(model, model_name(folder), checked, checked_precision(checked, precision))

    @torch.inference_mode()
    def encode(self, image: NDArray[np.float32]) -> Sam2Embedding:
        """Encode one image, (H, W, 3)."""
        return self.encode_batch([image])[0]

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[Sam2Embedding]:
        """Encode several images, each (H, W, 3), in one batch."""
        with enough_memory():
            squares = torch.cat([self._square(image) for image in images])
            fine, middle, coarse = self._encoded_levels(squares)
        split = zip(split_batch(fine), split_batch(middle), split_batch(coarse), strict=True)
        return [
            Sam2Embedding(levels, image.shape[:2])
            for levels, image in zip(split, images, strict=True)
        ]

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        encoded = own(embedding, Sam2Embedding)
        levels = dict(zip(LEVELS, encoded.levels, strict=True))
        return packed_tensors(levels, {"shape": list(encoded.shape)})

    def unpack(self, packed: Packed) -> Sam2Embedding:
        """Return the embedding that was packed, as it was."""
        levels = unpacked_tensors(packed, self.device)
        fine, middle, coarse = (levels[name] for name in LEVELS)
        return Sam2Embedding((fine, middle, coarse), packed_shape(packed))

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

    @torch.inference_mode()
    def update_memory(
        self, memory: MemoryBank | None, embedding: Embedding, prediction: Prediction
    ) -> MemoryBank:
        """Return the memory bank of an object after the image, on which it is as predicted."""
        with autocast(self.device, self._precision), enough_memory():
            return self._tracker.update_memory(memory, self._pyramid(embedding), prediction)

    @torch.inference_mode()
    def propagate(self, embedding: Embedding, memories: Sequence[MemoryBank]) -> list[Prediction]:
        """Segment objects on the next image by their memory banks, in one batch."""
        with autocast(self.device, self._precision):
            return self._tracker.propagate(self._pyramid(embedding), memories)

    def _square(self, image: NDArray[np.float32]) -> Tensor:
        resizing = Resizing.to_square(image.shape[:2], self._side)
        return preprocess(image, resizing, IMAGENET_NORMALISATION, self.device)

    def _encoded_levels(self, squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the squares of images, (B, 3, side, side)."""
        decoder = self._model.mask_decoder
        with autocast(self.device, self._precision):
            fine, middle, coarse = self._model.vision_encoder(squares).fpn_hidden_states
            fine, middle = decoder.conv_s0(fine), decoder.conv_s1(middle)
        convert = partial(to_16_bits, precision=self._precision)
        return convert(fine), convert(middle), convert(coarse)

    def _pyramid(self, embedding: Embedding) -> FeaturePyramid:
        encoded = own(embedding, Sam2Embedding)
        fine, middle, coarse = (level.to(self.device, torch.float32) for level in encoded.levels)
        encode_positions = self._model.vision_encoder.neck.position_encoding
        encoding = encode_positions(coarse.shape, coarse.device, coarse.dtype)
        return FeaturePyramid(fine, middle, coarse, encoding, encoded.shape)


class EdgeMemoryEncoder(MemoryEncoder):
    """The memory encoder of EdgeTAM, which compresses the memory of a frame to a few tokens."""

    def _encode(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        perceiver = self._tracker.spatial_perceiver
        features, encoding = perceiver(*self._encoder_output(coarse, shares))
        return features[0], encoding[0]


class EdgeMemoryAttention(MemoryAttention):
    """The memory attention of EdgeTAM."""

    def _inputs(self, pyramid: FeaturePyramid, memory: MemoryTokens) -> dict[str, Any]:
        return super()._inputs(pyramid, memory) | {"num_spatial_memory_tokens": memory.frames}


class EdgeTracker(Tracker):
    """Propagates objects with the memory of EdgeTAM."""

    @cached_property
    def _memory_encoder(self) -> MemoryEncoder:
        decoder = self._decoder
        return EdgeMemoryEncoder(self._tracker, decoder.side, decoder.encoder.mask_side)

    @cached_property
    def _memory_attention(self) -> MemoryAttention:
        return EdgeMemoryAttention(self._tracker, self._memory_encoder.positional_encoding)


def _encoder_layers(model: Any) -> Iterable[nn.Module]:
    """Return the layers of the image encoder, in order."""
    backbone = model.vision_encoder.backbone
    if isinstance(backbone, Sam2HieraDetModel):
        return backbone.blocks
    stages: Iterable[nn.Module] = backbone.timm_model.children()
    return stages

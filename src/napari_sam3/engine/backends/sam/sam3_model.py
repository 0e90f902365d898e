"""SAM 3 in memory: a detector and a tracker around one image encoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn
from transformers import Sam3VideoModel
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput, Sam3VisionNeck

from ....values import WeightsError
from ...devices import Precision
from ...weights.checkpoints import read_config
from .attention import use_fastest_attention
from .loading import ADVICE, digest, load_model
from .precision import autocast, checked_precision, split_batch, to_float16
from .preprocessing import FeaturePyramid, report_layers

MODEL_TYPE = "sam3_video"
"""The model type in the configuration of detector and tracker together."""
LEVELS = 3
"""Levels of the feature pyramid that are read; a fourth, coarser one is not."""

Features = TypeVar("Features")


@dataclass(frozen=True, slots=True, eq=False)
class Sam3Embedding:
    """The output of the image encoder for one image; all else is derived."""

    tokens: Tensor  # (1, g * g, C), one for each patch of the image, row by row
    shape: tuple[int, int]  # (H, W) of the image

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.tokens.nbytes


class RecentFeatures(Generic[Features]):
    """The features that were derived from the embeddings used last."""

    def __init__(self, derive: Callable[[Sam3Embedding], Features], count: int) -> None:
        self._derive = derive
        self._known: deque[tuple[Sam3Embedding, Features]] = deque(maxlen=count)

    def of(self, embedding: Sam3Embedding) -> Features:
        """Return the features of an embedding, derived now unless they are known."""
        for known, features in self._known:
            if known is embedding:
                return features
        features = self._derive(embedding)
        self._known.append((embedding, features))
        return features


class Sam3:
    """The weights of SAM 3, each of them once.

    Parameters
    ----------
    model : Sam3VideoModel
        Detector and tracker.
    device : str
        Where it computes.
    precision : {"float32", "bfloat16"}
        In which it encodes images and texts.
    """

    def __init__(
        self, model: Sam3VideoModel, device: str = "cpu", precision: Precision = "float32"
    ) -> None:
        self.detector = model.detector_model
        self.trunk = self.detector.vision_encoder.backbone
        self.tracker = model.tracker_model
        self.side: int = self.detector.config.vision_config.image_size
        self.revision = f"sam3-{digest(model)}-{self.side}-{precision}"
        self.grid = self.side // self.trunk.config.patch_size
        self.device = device
        self._precision = precision
        if precision == "bfloat16":
            _convert_to_bfloat16(self.trunk)
            _convert_to_bfloat16(self.detector.text_encoder)
        use_fastest_attention(model, device, precision)
        self._tracker_neck = model.tracker_neck
        nn.Module.to(model, device)
        report_layers(self.trunk.layers)
        self._pyramids = RecentFeatures(self._derive_pyramid, 2)  # for clicks, and for propagation
        self._detector_features = RecentFeatures(self._derive_detector_features, 1)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", precision: Precision | None = None) -> Self:
        """Read the folder of a checkpoint such as facebook/sam3.

        Raises
        ------
        WeightsError
            If the folder lacks weights, or holds others.
        ModelError
            If the device cannot compute with this precision.
        """
        check_model_type(folder)
        checked = checked_precision(device, precision)
        return cls(load_model(Sam3VideoModel, folder), device, checked)

    def encode(self, pixel_values: Tensor, shape: tuple[int, int]) -> Sam3Embedding:
        """Encode the square of an image (H, W), (1, 3, side, side)."""
        return self.encode_batch(pixel_values, [shape])[0]

    def encode_batch(
        self, pixel_values: Tensor, shapes: Sequence[tuple[int, int]]
    ) -> list[Sam3Embedding]:
        """Encode the squares of images of these (H, W), (B, 3, side, side), in one batch."""
        with self.autocast():
            tokens = self.trunk(pixel_values.to(self.device)).last_hidden_state
        images = zip(split_batch(to_float16(tokens)), shapes, strict=True)
        return [Sam3Embedding(*image) for image in images]

    def pyramid(self, embedding: Sam3Embedding) -> FeaturePyramid:
        """Return the features of an image that the tracker reads."""
        return self._pyramids.of(embedding)

    def detector_features(self, embedding: Sam3Embedding) -> Sam3VisionEncoderOutput:
        """Return the features of an image that the detector reads."""
        return self._detector_features.of(embedding)

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute with the precision of the model meanwhile."""
        return autocast(self.device, self._precision)

    def _derive_pyramid(self, embedding: Sam3Embedding) -> FeaturePyramid:
        fine, middle, coarse, encoding = self._neck_levels(self._tracker_neck, embedding)
        decoder = self.tracker.mask_decoder
        fine, middle = decoder.conv_s0(fine), decoder.conv_s1(middle)
        return FeaturePyramid(fine, middle, coarse, encoding, embedding.shape)

    def _derive_detector_features(self, embedding: Sam3Embedding) -> Sam3VisionEncoderOutput:
        neck = self.detector.vision_encoder.neck
        *levels, encoding = self._neck_levels(neck, embedding)
        unused = levels[-1]  # the detector expects a fourth level, and leaves it alone
        return Sam3VisionEncoderOutput(
            fpn_hidden_states=(*levels, unused),
            fpn_position_encoding=(encoding,) * (LEVELS + 1),  # it reads that of the third alone
        )

    def _neck_levels(self, neck: Sam3VisionNeck, embedding: Sam3Embedding) -> tuple[Tensor, ...]:
        """Return levels from fine to coarse, and the positional encoding of the coarse one."""
        tokens = embedding.tokens.to(self.device, torch.float32)
        plane = tokens.unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        levels = [layer(plane) for layer in neck.fpn_layers[:LEVELS]]
        coarse = levels[-1]
        return (*levels, neck.position_encoding(coarse.shape, coarse.device, coarse.dtype))


def check_model_type(folder: Path) -> None:
    """Refuse a folder that holds another model.

    Raises
    ------
    WeightsError
        If it does, or its configuration cannot be read.
    """
    model_type = read_config(folder).get("model_type")
    if model_type != MODEL_TYPE:
        raise WeightsError(f"The folder {folder} holds {model_type}, not SAM 3: {ADVICE}")


def _convert_to_bfloat16(encoder: nn.Module) -> None:
    """Convert weights as `torch.autocast` would, once, in half of the memory."""
    for layer in encoder.modules():
        if isinstance(layer, nn.Linear):
            layer.to(torch.bfloat16)

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
from ...weights.checkpoints import read_config
from .attention import attend_quickly
from .loading import ADVICE, digest, load_model
from .precision import Precision, calculating, checked_precision, halved, parted
from .preprocessing import Maps, tell_steps

MODEL_TYPE = "sam3_video"
"""What the configuration of detector and tracker together says it is."""

LEVELS = 3
"""Maps of different fineness that are read; a fourth, coarser one is not."""

Derived = TypeVar("Derived")


@dataclass(frozen=True, slots=True, eq=False)
class Sam3Embedding:
    """What the image encoder says about one image; all else is derived."""

    tokens: Tensor  # (1, g * g, C), one for each patch of the image, row by row
    shape: tuple[int, int]  # (H, W) of the image

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.tokens.nbytes


class Recent(Generic[Derived]):
    """What was derived from the embeddings that were asked for last."""

    def __init__(self, derive: Callable[[Sam3Embedding], Derived], count: int) -> None:
        self._derive = derive
        self._known: deque[tuple[Sam3Embedding, Derived]] = deque(maxlen=count)

    def of(self, embedding: Sam3Embedding) -> Derived:
        """Derive it, or take what is known."""
        for known, derived in self._known:
            if known is embedding:
                return derived
        derived = self._derive(embedding)
        self._known.append((embedding, derived))
        return derived


class Sam3:
    """The weights of SAM 3, each of them once.

    Parameters
    ----------
    model : Sam3VideoModel
        Detector and tracker.
    device : str
        Where it calculates.
    precision : {"float32", "bfloat16"}
        In which numbers it encodes images and texts.
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
            _shorten(self.trunk)
            _shorten(self.detector.text_encoder)
        attend_quickly(model, device, precision)
        self._neck = model.tracker_neck
        nn.Module.to(model, device)
        tell_steps(self.trunk.layers)
        self._maps = Recent(self._tracker_maps, 2)  # one for clicks, one for what runs meanwhile
        self._features = Recent(self._detector_features, 1)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", precision: Precision | None = None) -> Self:
        """Read the folder of a checkpoint such as facebook/sam3.

        Raises
        ------
        WeightsError
            If the folder lacks weights, or holds others.
        ModelError
            If the device cannot calculate with this precision.
        """
        found = read_config(folder).get("model_type")
        if found != MODEL_TYPE:
            raise WeightsError(f"The folder {folder} holds {found}, not SAM 3: {ADVICE}")
        chosen = checked_precision(device, precision)
        return cls(load_model(Sam3VideoModel, folder), device, chosen)

    def embed(self, pixel_values: Tensor, shape: tuple[int, int]) -> Sam3Embedding:
        """Encode the square of an image (H, W), (1, 3, side, side)."""
        return self.embed_all(pixel_values, [shape])[0]

    def embed_all(
        self, pixel_values: Tensor, shapes: Sequence[tuple[int, int]]
    ) -> list[Sam3Embedding]:
        """Encode the squares of images of these (H, W), (B, 3, side, side), in one pass."""
        with self.calculating():
            tokens = self.trunk(pixel_values.to(self.device)).last_hidden_state
        kept = parted(halved(tokens))
        return [Sam3Embedding(one, shape) for one, shape in zip(kept, shapes, strict=True)]

    def maps(self, embedding: Sam3Embedding) -> Maps:
        """Return what the tracker sees of an image."""
        return self._maps.of(embedding)

    def features(self, embedding: Sam3Embedding) -> Sam3VisionEncoderOutput:
        """Return what the detector sees of an image."""
        return self._features.of(embedding)

    def calculating(self) -> AbstractContextManager[Any]:
        """Calculate with the chosen precision meanwhile."""
        return calculating(self.device, self._precision)

    def _tracker_maps(self, embedding: Sam3Embedding) -> Maps:
        fine, middle, coarse, position = self._levels(self._neck, embedding)
        decoder = self.tracker.mask_decoder
        shape = embedding.shape
        return Maps(decoder.conv_s0(fine), decoder.conv_s1(middle), coarse, position, shape)

    def _detector_features(self, embedding: Sam3Embedding) -> Sam3VisionEncoderOutput:
        *levels, position = self._levels(self.detector.vision_encoder.neck, embedding)
        dropped = levels[-1]  # the detector expects a fourth level, and leaves it alone
        return Sam3VisionEncoderOutput(
            fpn_hidden_states=(*levels, dropped),
            fpn_position_encoding=(position,) * (LEVELS + 1),  # it reads that of the third alone
        )

    def _levels(self, neck: Sam3VisionNeck, embedding: Sam3Embedding) -> tuple[Tensor, ...]:
        """Return maps from fine to coarse, and the position encoding of the coarse one."""
        tokens = embedding.tokens.to(self.device, torch.float32)
        plane = tokens.unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        levels = [layer(plane) for layer in neck.fpn_layers[:LEVELS]]
        coarse = levels[-1]
        return (*levels, neck.position_encoding(coarse.shape, coarse.device, coarse.dtype))


def _shorten(encoder: nn.Module) -> None:
    """Keep weights the way that `torch.autocast` would see them, in half of the memory."""
    for layer in encoder.modules():
        if isinstance(layer, nn.Linear):
            layer.to(torch.bfloat16)

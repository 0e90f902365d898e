"""SAM 2 and its small relative EdgeTAM: models that follow what is clicked."""

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
from ...devices import checked_device
from ...weights.checkpoints import read_config
from ..base import Backend, Embedding, Packed, Prediction, own
from ..micro_batches import enough_memory
from ..tensors import packed_shape, packed_tensors, unpacked_tensors
from .attention import attend_quickly
from .loading import ADVICE, digest, load_model, model_name
from .mask_decoding import PromptDecoder
from .memory_bank import AttendedFeatures, MemoryAttention, MemoryEncoder, Track, Tracker
from .point_grid import everything
from .precision import Precision, calculating, checked_precision, parted, stored
from .preprocessing import IMAGENET, Maps, Scaling, pixel_values, tell_steps

from transformers import EdgeTamVideoModel, PreTrainedModel, Sam2HieraDetModel, Sam2VideoModel  # isort: skip


class CompressingEncoder(MemoryEncoder):
    """Sums up the memory of a frame in a few tokens."""

    def _encode(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        tokens, places = self._tracker.spatial_perceiver(*self._features(coarse, shares))
        return tokens[0], places[0]


class CompressedMemoryAttention(MemoryAttention):
    """Reads what `CompressingEncoder` writes."""

    def _asked(self, maps: Maps, known: AttendedFeatures) -> dict[str, Any]:
        return super()._asked(maps, known) | {"num_spatial_memory_tokens": known.frames}


class EdgeTracker(Tracker):
    """Follows objects with the memory of EdgeTAM."""

    @cached_property
    def _writer(self) -> MemoryEncoder:
        decoder = self._decoder
        return CompressingEncoder(self._tracker, decoder.side, decoder.encoder.mask_side)

    @cached_property
    def _reader(self) -> MemoryAttention:
        return CompressedMemoryAttention(self._tracker, self._writer.places)


MODELS: dict[str, type[PreTrainedModel]] = {
    "sam2": Sam2VideoModel,
    "sam2_video": Sam2VideoModel,
    "edgetam": EdgeTamVideoModel,
    "edgetam_video": EdgeTamVideoModel,
}
"""What reads the weights of each type that a configuration may name."""
LEVELS = ("fine", "middle", "coarse")


@dataclass(frozen=True, slots=True, eq=False)
class Sam2Embedding:
    """What the image encoder says about one image."""

    levels: tuple[Tensor, Tensor, Tensor]  # the fine, middle and coarse map of `Maps`
    shape: tuple[int, int]  # (H, W) of the image

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return sum(level.nbytes for level in self.levels)


class Sam2Backend(Backend):
    """Answers clicks, boxes and outlines, follows objects, and finds all of them.

    Use `load`. The methods are those of `Backend`. In short numbers, images are embedded and
    objects are followed; clicks are answered with full precision.
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
        attend_quickly(model, device, precision)
        tell_steps(_layers(model))
        self._decoder = PromptDecoder(model, self._side, torch.float32, device)
        memory = EdgeTracker if isinstance(model, EdgeTamVideoModel) else Tracker
        self._tracker = memory(model, self._decoder)

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
            In which numbers to calculate; by default short ones where they are faster.

        Raises
        ------
        WeightsError
            If the folder lacks something, or holds another model.
        ModelError
            If there is no such device, or it does not know the precision.
        """
        chosen = checked_device(device)
        kind = MODELS.get(str(read_config(folder).get("model_type")))
        if kind is None:
            raise WeightsError(f"The folder {folder} holds neither SAM 2 nor EdgeTAM: {ADVICE}")
        model = load_model(kind, folder)
        return cls(model, model_name(folder), chosen, checked_precision(chosen, precision))

    @torch.inference_mode()
    def encode(self, image: NDArray[np.float32]) -> Sam2Embedding:
        """Embed one image, (H, W, 3)."""
        return self.encode_batch([image])[0]

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[Sam2Embedding]:
        """Embed several images, each (H, W, 3), in one pass."""
        with enough_memory():
            fine, middle, coarse = self._levels(torch.cat([self._square(one) for one in images]))
        levels = zip(parted(fine), parted(middle), parted(coarse), strict=True)
        return [
            Sam2Embedding(one, image.shape[:2]) for one, image in zip(levels, images, strict=True)
        ]

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        seen = own(embedding, Sam2Embedding)
        levels = dict(zip(LEVELS, seen.levels, strict=True))
        return packed_tensors(levels, {"shape": list(seen.shape)})

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
        """Answer the prompts of several objects in one pass."""
        return self._decoder.segment(self._maps(embedding), prompts, previous)

    @torch.inference_mode()
    def everything(self, embedding: Embedding) -> Candidates:
        """Find all objects of the image, without prompts."""
        return everything(self._decoder, self._maps(embedding))

    @torch.inference_mode()
    def update_memory(self, track: Track | None, embedding: Embedding, answer: Prediction) -> Track:
        """Return the track of an object that is on the embedded image as answered."""
        with calculating(self.device, self._precision), enough_memory():
            return self._tracker.update_memory(track, self._maps(embedding), answer)

    @torch.inference_mode()
    def propagate(self, embedding: Embedding, tracks: Sequence[Track]) -> list[Prediction]:
        """Find the tracked objects on the next image, in one pass."""
        with calculating(self.device, self._precision):
            return self._tracker.propagate(self._maps(embedding), tracks)

    def _square(self, image: NDArray[np.float32]) -> Tensor:
        scaling = Scaling.resized(image.shape[:2], self._side)
        return pixel_values(image, scaling, IMAGENET, self.device)

    def _levels(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the squares of images, (B, 3, side, side)."""
        decoder = self._model.mask_decoder
        with calculating(self.device, self._precision):
            fine, middle, coarse = self._model.vision_encoder(pixels).fpn_hidden_states
            fine, middle = decoder.conv_s0(fine), decoder.conv_s1(middle)
        keep = partial(stored, precision=self._precision)
        return keep(fine), keep(middle), keep(coarse)

    def _maps(self, embedding: Embedding) -> Maps:
        seen = own(embedding, Sam2Embedding)
        fine, middle, coarse = (level.to(self.device, torch.float32) for level in seen.levels)
        places = self._model.vision_encoder.neck.position_encoding
        position = places(coarse.shape, coarse.device, coarse.dtype)
        return Maps(fine, middle, coarse, position, seen.shape)


def _layers(model: Any) -> Iterable[nn.Module]:
    """Return what the image encoder does one after the other."""
    backbone = model.vision_encoder.backbone
    if isinstance(backbone, Sam2HieraDetModel):
        return backbone.blocks
    stages: Iterable[nn.Module] = backbone.timm_model.children()
    return stages

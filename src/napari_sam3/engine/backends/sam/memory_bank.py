"""The memory of SAM 2 and SAM 3: memory bank, memory attention, memory encoder and tracker."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ....values import Mask
from ..base import Prediction
from .mask_decoding import BatchOutput, PromptDecoder, upscaled_mask
from .preprocessing import FeaturePyramid, Resizing

SINUSOIDAL_BASE = 10_000
"""How much longer the longest wavelength of the temporal encoding is than the shortest."""
CACHE_BYTES = 2**22
"""Features that a processor attends to at once: those of one object, which fill its cache."""
MASK_ZOOM = 4
"""The memory encoder reads masks that many times larger than the decoder predicts them."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameMemory:
    """What is kept of an object on one frame."""

    features: Tensor  # (L, M) spatial memory features: where it is, and what it looks like
    pointer: Tensor  # (C,) object pointer

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.features.nbytes + self.pointer.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Capacity:
    """How many frames a memory bank holds beside the first one."""

    frames: int  # whose features are kept
    pointers: int  # whose object pointers are kept


@dataclass(frozen=True, slots=True, eq=False)
class MemoryBank:
    """What is kept of one object, always of the same size.

    Frames count in the order in which they were propagated to, so backward is as forward. A frame
    without the object is no step: nothing is kept of it.
    """

    first: FrameMemory  # of the frame where the object was prompted
    capacity: Capacity
    steps: int = 0  # from there to the last frame
    features: tuple[Tensor, ...] = ()  # (L, M) of the last frames, newest first
    pointers: tuple[Tensor, ...] = ()  # (C,) of the last frames, newest first

    @property
    def batch_key(self) -> Hashable:
        """What is equal in all memory banks of a batch."""
        return len(self.features), len(self.pointers)

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.first.nbytes + sum(kept.nbytes for kept in (*self.features, *self.pointers))

    def extended(self, memory: FrameMemory) -> Self:
        """Add the next frame; the oldest one is dropped."""
        return type(self)(
            self.first,
            self.capacity,
            self.steps + 1,
            (memory.features, *self.features)[: self.capacity.frames],
            (memory.pointer, *self.pointers)[: self.capacity.pointers],
        )


@dataclass(frozen=True, slots=True, eq=False)
class MemoryTokens:
    """All that is attended to of N objects, frames first and pointers last."""

    tokens: Tensor  # (N, T, M)
    positional_encoding: Tensor  # (N, T, M), in space and time
    frames: int  # how many frames the tokens come from
    pointer_tokens: int  # how many tokens belong to pointers


class MemoryAttention:
    """The memory attention of SAM 2 or SAM 3.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the memory.
    positional_encoding : (L, M) tensor
        That of the features of a frame.
    """

    def __init__(self, tracker: Any, positional_encoding: Tensor) -> None:
        self._tracker = tracker
        self._positional_encoding = positional_encoding

    def condition(self, pyramid: FeaturePyramid, banks: Sequence[MemoryBank]) -> Tensor:
        """Condition the coarse features of an image on memory banks of one batch key.

        Returns
        -------
        (N, C, g, g) tensor
        """
        count = _objects_at_once(pyramid.coarse) or len(banks)
        parts = [banks[start : start + count] for start in range(0, len(banks), count)]
        return torch.cat([self._conditioned(pyramid, part) for part in parts])

    def _conditioned(self, pyramid: FeaturePyramid, banks: Sequence[MemoryBank]) -> Tensor:
        inputs = self._inputs(pyramid, self._memory_tokens(banks))
        features: Tensor = self._tracker.memory_attention(**inputs)
        return features[0].transpose(1, 2).reshape(len(banks), *pyramid.coarse.shape[1:])

    def _memory_tokens(self, banks: Sequence[MemoryBank]) -> MemoryTokens:
        frames = torch.stack([_stacked_features(bank) for bank in banks])
        pointers = torch.stack([_stacked_pointers(bank) for bank in banks])
        ages = torch.tensor([_pointer_ages(bank) for bank in banks], device=pointers.device)
        parts = pointers.shape[-1] // frames.shape[-1]  # a pointer is as long as several tokens
        tokens = [frames.flatten(1, 2).to(pointers.dtype), _split(pointers, parts)]
        encodings = [
            self._frame_encoding(frames.shape[1]).expand(len(banks), -1, -1),
            self._pointer_encoding(ages, pointers).repeat_interleave(parts, dim=1),
        ]
        return MemoryTokens(
            torch.cat(tokens, dim=1),
            torch.cat(encodings, dim=1),
            frames=frames.shape[1],
            pointer_tokens=parts * pointers.shape[1],
        )

    def _frame_encoding(self, count: int) -> Tensor:
        """Return the encoding of the features of so many frames in space and time, (count * L, M).

        The first frame comes first, then from the oldest to the newest.
        """
        steps = [0, *range(count - 1, 0, -1)]
        times = self._tracker.memory_temporal_positional_encoding[[step - 1 for step in steps], 0]
        encoding: Tensor = (self._positional_encoding + times).flatten(0, 1)
        return encoding

    def _pointer_encoding(self, ages: Tensor, pointers: Tensor) -> Tensor:
        """Encode how many steps ago, (N, P), pointers (N, P, C) were made, as (N, P, M)."""
        config = self._tracker.config
        if not config.enable_temporal_pos_encoding_for_object_pointers:  # as in SAM 2.0
            return pointers.new_zeros(*ages.shape, self._positional_encoding.shape[-1])
        relative_ages = ages / (config.max_object_pointers_in_encoder - 1)
        encoded_ages = _sinusoidal_encoding(relative_ages, pointers.shape[-1])
        project = self._tracker.temporal_positional_encoding_projection_layer
        encoding: Tensor = project(encoded_ages.to(pointers.dtype))
        return encoding

    def _inputs(self, pyramid: FeaturePyramid, memory: MemoryTokens) -> dict[str, Any]:
        """Return the arguments of the model's own memory attention."""
        count = len(memory.tokens)
        encoding = memory.positional_encoding.transpose(0, 1)
        return {
            "current_vision_features": _flattened(pyramid.coarse, count),
            "current_vision_position_embeddings": _flattened(pyramid.positional_encoding, count),
            "memory": memory.tokens.transpose(0, 1),
            "memory_posision_embeddings": encoding,  # spelled like this there
            "num_object_pointer_tokens": memory.pointer_tokens,
        }


def _objects_at_once(coarse: Tensor) -> int | None:
    """Return for how many objects a processor conditions features together; None for all."""
    return max(1, CACHE_BYTES // coarse.nbytes) if coarse.device.type == "cpu" else None


def _flattened(coarse: Tensor, count: int) -> Tensor:
    """Return features, (1, C, g, g), as (g * g, count, C)."""
    return coarse.flatten(2).permute(2, 0, 1).expand(-1, count, -1)


def _stacked_features(bank: MemoryBank) -> Tensor:
    """Return the features of all frames, (F, L, M), the newest one last."""
    return torch.stack([bank.first.features, *reversed(bank.features)])


def _stacked_pointers(bank: MemoryBank) -> Tensor:
    """Return all object pointers, (P, C), the newest one second."""
    return torch.stack([bank.first.pointer, *bank.pointers])


def _split(pointers: Tensor, parts: int) -> Tensor:
    """Cut each pointer, (N, P, C), into tokens, (N, P * parts, C / parts)."""
    return pointers.unflatten(2, (parts, -1)).flatten(1, 2)


def _pointer_ages(bank: MemoryBank) -> list[int]:
    """Return how many steps the next frame is from each pointer."""
    return [bank.steps + 1, *range(1, len(bank.pointers) + 1)]


def _sinusoidal_encoding(ages: Tensor, width: int) -> Tensor:
    """Encode ages, (N, P), as sines and cosines of ever longer wavelengths, (N, P, width)."""
    half = width // 2
    pairs = torch.arange(half, device=ages.device) // 2
    angles = ages[..., None] / SINUSOIDAL_BASE ** (2 * pairs / half)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class MemoryEncoder:
    """The memory encoder of SAM 2 or SAM 3.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the memory.
    side : int
        Of the square that the model encodes, in pixels.
    mask_side : int
        Of the masks that its decoder predicts.
    """

    def __init__(self, tracker: Any, side: int, mask_side: int) -> None:
        self._tracker = tracker
        self._side = side
        self._mask_side = mask_side

    def resized_mask(self, mask: NDArray[np.bool_]) -> Tensor:
        """Resize a mask, (H, W), to the model's square: (1, 1, side, side), ones and zeros."""
        pixels = torch.from_numpy(mask.astype(np.float32))[None, None]
        size = (self._side, self._side)
        shares = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        return (shares >= min(0.5, float(shares.max()))).float()  # the smallest is not lost

    def encode_mask(self, coarse: Tensor, mask: Tensor) -> Tensor:
        """Encode a mask from `resized_mask` on coarse features, (1, C, g, g), as (L, M)."""
        inside = resized_square(mask, MASK_ZOOM * self._mask_side) > 0.5
        return self._encode(coarse, inside.float())[0]

    def encode_logits(self, coarse: Tensor, logits: Tensor) -> Tensor:
        """Encode the logits (h, w) of a mask on coarse features, (1, C, g, g), as (L, M)."""
        square = resized_square(logits[None, None], self._side)
        shares = torch.sigmoid(resized_square(square, MASK_ZOOM * self._mask_side))
        return self._encode(coarse, shares)[0]

    @cached_property
    def positional_encoding(self) -> Tensor:
        """That of the features of a frame, (L, M), the same for all frames."""
        parameter = self._tracker.no_memory_embedding
        grid, side = self._mask_side // 4, MASK_ZOOM * self._mask_side
        coarse = parameter.view(1, -1, 1, 1).expand(-1, -1, grid, grid)
        return self._encode(coarse, parameter.new_zeros(1, 1, side, side))[1]

    def _encode(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a mask, (1, 1, S, S) in 0..1: features and positional encoding, both (L, M)."""
        features, encoding = (
            output[0].flatten(1).T for output in self._encoder_output(coarse, shares)
        )
        return features.to(torch.bfloat16), encoding  # the models were trained with this dtype

    def _encoder_output(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        config = self._tracker.config
        scaled = shares * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        output: tuple[Tensor, Tensor] = self._tracker.memory_encoder(
            coarse, scaled.to(coarse.dtype)
        )
        return output


def resized_square(pixels: Tensor, side: int) -> Tensor:
    """Resize logits or masks, (1, 1, h, w), to a square."""
    return F.interpolate(pixels, (side, side), mode="bilinear")


@dataclass(frozen=True, slots=True, eq=False)
class PropagatedMask:
    """What the decoder predicted of a propagated object, for the memory of its frame."""

    logits: Tensor  # (h, w)
    pointer: Tensor  # (C,) object pointer


class Tracker:
    """Propagates objects with the memory of SAM 2 or SAM 3.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the memory.
    decoder : PromptDecoder
        Decodes masks from memory-conditioned features.
    """

    def __init__(self, tracker: Any, decoder: PromptDecoder) -> None:
        config = tracker.config
        self._tracker = tracker
        self._decoder = decoder
        self._capacity = Capacity(config.num_maskmem - 1, config.max_object_pointers_in_encoder - 1)

    def update_memory(
        self, memory: MemoryBank | None, pyramid: FeaturePyramid, prediction: Prediction
    ) -> MemoryBank:
        """Return the memory bank of an object after an image on which it is as predicted."""
        if isinstance(prediction.memory, PropagatedMask):
            frame = self._propagated_memory(pyramid, prediction.memory)
        else:
            frame = self._prompted_memory(pyramid, prediction.pixels)
        return MemoryBank(frame, self._capacity) if memory is None else memory.extended(frame)

    def propagate(
        self, pyramid: FeaturePyramid, memories: Sequence[MemoryBank]
    ) -> list[Prediction]:
        """Segment objects on the next image, those with equally long memories in one batch."""
        propagate_batch = partial(self._propagate_batch, pyramid)
        return self._decoder.micro_batches.run(propagate_batch, memories, attrgetter("batch_key"))

    @cached_property
    def _memory_encoder(self) -> MemoryEncoder:
        return MemoryEncoder(self._tracker, self._decoder.side, self._decoder.encoder.mask_side)

    @cached_property
    def _memory_attention(self) -> MemoryAttention:
        return MemoryAttention(self._tracker, self._memory_encoder.positional_encoding)

    def _propagated_memory(self, pyramid: FeaturePyramid, mask: PropagatedMask) -> FrameMemory:
        features = self._memory_encoder.encode_logits(pyramid.coarse, mask.logits)
        return FrameMemory(features, mask.pointer)

    def _prompted_memory(self, pyramid: FeaturePyramid, mask: NDArray[np.bool_]) -> FrameMemory:
        """Encode a mask, (H, W), and take the pointer from what the decoder makes of it."""
        resized = self._memory_encoder.resized_mask(mask).to(pyramid.coarse.device)
        encoder = self._decoder.encoder
        logits = self._tracker.mask_downsample(resized.to(pyramid.coarse.dtype)).float()
        prompts = encoder.encode_masks(resized_square(logits, encoder.mask_side))
        output = self._decoder.decode(pyramid, pyramid.coarse, prompts)
        features = self._memory_encoder.encode_mask(pyramid.coarse, resized)
        return FrameMemory(features, self._object_pointer(output, 0))

    def _propagate_batch(
        self, pyramid: FeaturePyramid, memories: Sequence[MemoryBank]
    ) -> list[Prediction]:
        coarse = self._memory_attention.condition(pyramid, memories)
        no_prompts = self._decoder.encoder.encode_no_prompts(len(memories))
        output = self._decoder.decode(pyramid, coarse, no_prompts)
        return [self._prediction(output, index, pyramid.shape) for index in range(len(memories))]

    def _prediction(self, output: BatchOutput, index: int, shape: tuple[int, int]) -> Prediction:
        """Upscale the best mask of an object to an image (H, W), if it is there."""
        presence = float(torch.sigmoid(output.presence[index]))
        if output.presence[index] <= 0:
            return Prediction((Mask.absent(shape),), presence)
        best = int(output.scores[index].argmax())
        logits = output.logits[index, best].clone()  # keeps nothing of the rest of the batch
        pixels = upscaled_mask(logits, Resizing.to_square(shape, self._decoder.side))
        mask = Mask.of(pixels, float(output.scores[index, best]))
        propagated = PropagatedMask(logits, self._object_pointer(output, index))
        return Prediction((mask,), presence, propagated)

    def _object_pointer(self, output: BatchOutput, index: int) -> Tensor:
        """Return the pointer of an object, (C,), or that of no object where none is predicted."""
        if output.presence[index] <= 0:
            return self._tracker.no_object_pointer[0]
        best = int(output.scores[index].argmax())
        pointer: Tensor = self._tracker.object_pointer_proj(output.mask_tokens[index, best])
        return pointer

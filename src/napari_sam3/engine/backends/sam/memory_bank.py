"""What is remembered of an object that is followed, always of the same size."""

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
from .mask_decoding import Decoded, PromptDecoder, draw
from .preprocessing import Maps, Scaling


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """An object on one frame."""

    tokens: Tensor  # (L, M) where it is on the image, and how it looks
    pointer: Tensor  # (C,) which object it is

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.tokens.nbytes + self.pointer.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """How much a track holds beside the memory it started with."""

    frames: int  # memories of the last frames
    pointers: int  # pointers of the last frames


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """An object from the frame where it was given to the one where it was seen last.

    Frames count in the order in which they were visited, so backward is as forward. A frame
    without the object is no step: nothing is remembered of it.
    """

    first: Memory  # where the object was given
    span: Span
    steps: int = 0  # from there to the last frame
    frames: tuple[Tensor, ...] = ()  # tokens (L, M) of the last frames, newest first
    pointers: tuple[Tensor, ...] = ()  # pointers (C,) of the last frames, newest first

    @property
    def kind(self) -> Hashable:
        """What tracks have in common that are followed in one pass."""
        return len(self.frames), len(self.pointers)

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.first.nbytes + sum(one.nbytes for one in (*self.frames, *self.pointers))

    def continued(self, memory: Memory) -> Self:
        """Go on to the next frame; the oldest one is forgotten."""
        return type(self)(
            self.first,
            self.span,
            self.steps + 1,
            (memory.tokens, *self.frames)[: self.span.frames],
            (memory.pointer, *self.pointers)[: self.span.pointers],
        )


SLOWEST = 10_000
"""How much longer the slowest wave is in which an age is written than the fastest one."""

CACHED = 2**22
"""Bytes of maps that a processor looks at together: one of full size, which fills its cache."""


@dataclass(frozen=True, slots=True, eq=False)
class AttendedFeatures:
    """All that is remembered of N objects, frames first and pointers last."""

    tokens: Tensor  # (N, T, M)
    places: Tensor  # (N, T, M) where and when each token belongs
    frames: int  # how many frames the tokens come from
    pointers: int  # how many tokens are pointers


class MemoryAttention:
    """Reads the memory of SAM 2 or SAM 3.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the memory.
    places : (L, M) tensor
        The position encoding of the tokens of a frame.
    """

    def __init__(self, tracker: Any, places: Tensor) -> None:
        self._tracker = tracker
        self._places = places

    def recall(self, maps: Maps, tracks: Sequence[Track]) -> Tensor:
        """Return the coarse map of an image, (N, C, g, g), as equally long tracks see it."""
        many = _at_once(maps.coarse) or len(tracks)
        parts = range(0, len(tracks), many)
        return torch.cat([self._attend(maps, tracks[part : part + many]) for part in parts])

    def _attend(self, maps: Maps, tracks: Sequence[Track]) -> Tensor:
        known = self._attended(tracks)
        seen: Tensor = self._tracker.memory_attention(**self._asked(maps, known))
        return seen[0].transpose(1, 2).reshape(len(tracks), *maps.coarse.shape[1:])

    def _attended(self, tracks: Sequence[Track]) -> AttendedFeatures:
        frames = torch.stack([_frames(track) for track in tracks])
        pointers = torch.stack([_pointers(track) for track in tracks])
        ages = torch.tensor([_ages(track) for track in tracks], device=pointers.device)
        parts = pointers.shape[-1] // frames.shape[-1]  # a pointer is as long as several tokens
        tokens = [frames.flatten(1, 2).to(pointers.dtype), _split(pointers, parts)]
        places = [
            self._frame_positions(frames.shape[1]).expand(len(tracks), -1, -1),
            self._pointer_positions(ages, pointers).repeat_interleave(parts, dim=1),
        ]
        return AttendedFeatures(
            torch.cat(tokens, dim=1),
            torch.cat(places, dim=1),
            frames=frames.shape[1],
            pointers=parts * pointers.shape[1],
        )

    def _frame_positions(self, count: int) -> Tensor:
        """Encode where and when the tokens of so many frames belong, (count * L, M)."""
        steps = [0, *range(count - 1, 0, -1)]  # the first frame, then from the oldest to the newest
        times = self._tracker.memory_temporal_positional_encoding[[step - 1 for step in steps], 0]
        places: Tensor = (self._places + times).flatten(0, 1)
        return places

    def _pointer_positions(self, ages: Tensor, pointers: Tensor) -> Tensor:
        """Encode how many steps ago, (N, P), pointers (N, P, C) were made, as (N, P, M)."""
        config = self._tracker.config
        if not config.enable_temporal_pos_encoding_for_object_pointers:  # as in SAM 2.0
            return pointers.new_zeros(*ages.shape, self._places.shape[-1])
        waves = _sinusoids(ages / (config.max_object_pointers_in_encoder - 1), pointers.shape[-1])
        layer = self._tracker.temporal_positional_encoding_projection_layer
        places: Tensor = layer(waves.to(pointers.dtype))
        return places

    def _asked(self, maps: Maps, known: AttendedFeatures) -> dict[str, Any]:
        """Name what the model takes to look at an image with something in mind."""
        count = len(known.tokens)
        return {
            "current_vision_features": _in_rows(maps.coarse, count),
            "current_vision_position_embeddings": _in_rows(maps.position, count),
            "memory": known.tokens.transpose(0, 1),
            "memory_posision_embeddings": known.places.transpose(0, 1),  # spelled like this there
            "num_object_pointer_tokens": known.pointers,
        }


def _at_once(coarse: Tensor) -> int | None:
    """Return for how many objects a processor looks at a map together; None for all of them."""
    return max(1, CACHED // coarse.nbytes) if coarse.device.type == "cpu" else None


def _in_rows(coarse: Tensor, count: int) -> Tensor:
    """Return a map, (1, C, g, g), as (g * g, count, C)."""
    return coarse.flatten(2).permute(2, 0, 1).expand(-1, count, -1)


def _frames(track: Track) -> Tensor:
    """Return the tokens of all remembered frames, (F, L, M), the newest one last."""
    return torch.stack([track.first.tokens, *reversed(track.frames)])


def _pointers(track: Track) -> Tensor:
    """Return all pointers, (P, C), the newest one second."""
    return torch.stack([track.first.pointer, *track.pointers])


def _split(pointers: Tensor, parts: int) -> Tensor:
    """Cut each pointer, (N, P, C), into parts, (N, P * parts, C / parts)."""
    return pointers.unflatten(2, (parts, -1)).flatten(1, 2)


def _ages(track: Track) -> list[int]:
    """Return how many steps the next frame is from each pointer."""
    return [track.steps + 1, *range(1, len(track.pointers) + 1)]


def _sinusoids(ages: Tensor, width: int) -> Tensor:
    """Write ages, (N, P), as sines and cosines of ever slower waves, (N, P, width)."""
    half = width // 2
    pairs = torch.arange(half, device=ages.device) // 2
    angles = ages[..., None] / SLOWEST ** (2 * pairs / half)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


ZOOM = 4
"""The memory reads masks that many times larger than the decoder draws them."""


class MemoryEncoder:
    """Writes the memory of SAM 2 or SAM 3.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the memory.
    side : int
        Of the square that the model sees, in pixels.
    mask_side : int
        Of the masks that its decoder draws.
    """

    def __init__(self, tracker: Any, side: int, mask_side: int) -> None:
        self._tracker = tracker
        self._side = side
        self._mask_side = mask_side

    def given(self, mask: NDArray[np.bool_]) -> Tensor:
        """Put a mask, (H, W), on the model's square: (1, 1, side, side), ones and zeros."""
        pixels = torch.from_numpy(mask.astype(np.float32))[None, None]
        size = (self._side, self._side)
        shares = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        return (shares >= min(0.5, float(shares.max()))).float()  # the smallest is not lost

    def encode_given(self, coarse: Tensor, given: Tensor) -> Tensor:
        """Encode a mask from `given` on a coarse map, (1, C, g, g), as tokens, (L, M)."""
        inside = enlarged(given, ZOOM * self._mask_side) > 0.5
        return self._encode(coarse, inside.float())[0]

    def encode_seen(self, coarse: Tensor, logits: Tensor) -> Tensor:
        """Encode logits (h, w) of a mask on a coarse map, (1, C, g, g), as tokens, (L, M)."""
        square = enlarged(logits[None, None], self._side)
        shares = torch.sigmoid(enlarged(square, ZOOM * self._mask_side))
        return self._encode(coarse, shares)[0]

    @cached_property
    def places(self) -> Tensor:
        """The position encoding of the tokens of a frame, (L, M), the same for all frames."""
        parameter = self._tracker.no_memory_embedding
        grid, side = self._mask_side // 4, ZOOM * self._mask_side
        coarse = parameter.view(1, -1, 1, 1).expand(-1, -1, grid, grid)
        return self._encode(coarse, parameter.new_zeros(1, 1, side, side))[1]

    def _encode(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a mask, (1, 1, S, S) in 0..1, as tokens and their places, both (L, M)."""
        tokens, places = self._features(coarse, shares)
        tokens, places = (part[0].flatten(1).T for part in (tokens, places))
        return tokens.to(torch.bfloat16), places  # the models have learned with this precision

    def _features(self, coarse: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        config = self._tracker.config
        scaled = shares * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        features: tuple[Tensor, Tensor] = self._tracker.memory_encoder(
            coarse, scaled.to(coarse.dtype)
        )
        return features


def enlarged(pixels: Tensor, side: int) -> Tensor:
    """Enlarge a map, (1, 1, h, w), to a square."""
    return F.interpolate(pixels, (side, side), mode="bilinear")


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What the model saw of an object that it followed to a frame."""

    logits: Tensor  # (h, w) of its mask
    pointer: Tensor  # (C,)


class Tracker:
    """Follows objects with the memory of SAM 2 or SAM 3.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the memory.
    decoder : PromptDecoder
        Draws what the memory finds.
    """

    def __init__(self, tracker: Any, decoder: PromptDecoder) -> None:
        config = tracker.config
        self._tracker = tracker
        self._decoder = decoder
        self._span = Span(config.num_maskmem - 1, config.max_object_pointers_in_encoder - 1)

    def update_memory(self, track: Track | None, maps: Maps, answer: Prediction) -> Track:
        """Return the track of an object that is on the image as answered."""
        if isinstance(answer.memory, Sighting):
            memory = self._seen(maps, answer.memory)
        else:
            memory = self._given(maps, answer.pixels)
        return Track(memory, self._span) if track is None else track.continued(memory)

    def propagate(self, maps: Maps, tracks: Sequence[Track]) -> list[Prediction]:
        """Find tracked objects on the next image, those with equally long tracks in one pass."""
        propagate = partial(self._propagate, maps)
        return self._decoder.micro_batches.run(propagate, tracks, attrgetter("kind"))

    @cached_property
    def _writer(self) -> MemoryEncoder:
        return MemoryEncoder(self._tracker, self._decoder.side, self._decoder.encoder.mask_side)

    @cached_property
    def _reader(self) -> MemoryAttention:
        return MemoryAttention(self._tracker, self._writer.places)

    def _seen(self, maps: Maps, seen: Sighting) -> Memory:
        return Memory(self._writer.encode_seen(maps.coarse, seen.logits), seen.pointer)

    def _given(self, maps: Maps, mask: NDArray[np.bool_]) -> Memory:
        """Remember a mask, (H, W), and what the decoder makes of it."""
        given = self._writer.given(mask).to(maps.coarse.device)
        encoder = self._decoder.encoder
        logits = self._tracker.mask_downsample(given.to(maps.coarse.dtype)).float()
        said = encoder.encode_masks(enlarged(logits, encoder.mask_side))
        decoded = self._decoder.decode(maps, maps.coarse, said)
        return Memory(self._writer.encode_given(maps.coarse, given), self._pointer(decoded, 0))

    def _propagate(self, maps: Maps, tracks: Sequence[Track]) -> list[Prediction]:
        coarse = self._reader.recall(maps, tracks)
        nothing = self._decoder.encoder.encode_nothing(len(tracks))
        decoded = self._decoder.decode(maps, coarse, nothing)
        return [self._answer(decoded, index, maps.shape) for index in range(len(tracks))]

    def _answer(self, decoded: Decoded, index: int, shape: tuple[int, int]) -> Prediction:
        """Draw the best mask of an object on an image (H, W), if it is there."""
        presence = float(torch.sigmoid(decoded.presence[index]))
        if decoded.presence[index] <= 0:
            return Prediction((Mask.of(np.zeros(shape, bool), 0.0),), presence)
        best = int(decoded.scores[index].argmax())
        logits = decoded.logits[index, best].clone()  # keeps nothing of the other objects
        mask = draw(logits, Scaling.resized(shape, self._decoder.side))
        hypothesis = Mask.of(mask, float(decoded.scores[index, best]))
        return Prediction((hypothesis,), presence, Sighting(logits, self._pointer(decoded, index)))

    def _pointer(self, decoded: Decoded, index: int) -> Tensor:
        """Point to an object, (C,), or to none where the decoder sees none."""
        if decoded.presence[index] <= 0:
            return self._tracker.no_object_pointer[0]
        best = int(decoded.scores[index].argmax())
        pointer: Tensor = self._tracker.object_pointer_proj(decoded.tokens[index, best])
        return pointer

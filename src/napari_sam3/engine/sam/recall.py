"""From what is remembered of objects to where they are on the next image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .maps import Maps
from .memory import Track

SLOWEST = 10_000
"""How much longer the slowest wave is in which an age is written than the fastest one."""

CACHED = 2**22
"""Bytes of maps that a processor looks at together: one of full size, which fills its cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Recollection:
    """All that is remembered of N objects, frames first and pointers last."""

    tokens: Tensor  # (N, T, M)
    places: Tensor  # (N, T, M) where and when each token belongs
    frames: int  # how many frames the tokens come from
    pointers: int  # how many tokens are pointers


class Recall:
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
        return torch.cat([self._recall(maps, tracks[part : part + many]) for part in parts])

    def _recall(self, maps: Maps, tracks: Sequence[Track]) -> Tensor:
        known = self._recollection(tracks)
        seen: Tensor = self._tracker.memory_attention(**self._asked(maps, known))
        return seen[0].transpose(1, 2).reshape(len(tracks), *maps.coarse.shape[1:])

    def _recollection(self, tracks: Sequence[Track]) -> Recollection:
        frames = torch.stack([_frames(track) for track in tracks])
        pointers = torch.stack([_pointers(track) for track in tracks])
        ages = torch.tensor([_ages(track) for track in tracks], device=pointers.device)
        parts = pointers.shape[-1] // frames.shape[-1]  # a pointer is as long as several tokens
        tokens = [frames.flatten(1, 2).to(pointers.dtype), _split(pointers, parts)]
        places = [
            self._frame_places(frames.shape[1]).expand(len(tracks), -1, -1),
            self._pointer_places(ages, pointers).repeat_interleave(parts, dim=1),
        ]
        return Recollection(
            torch.cat(tokens, dim=1),
            torch.cat(places, dim=1),
            frames=frames.shape[1],
            pointers=parts * pointers.shape[1],
        )

    def _frame_places(self, count: int) -> Tensor:
        """Encode where and when the tokens of so many frames belong, (count * L, M)."""
        steps = [0, *range(count - 1, 0, -1)]  # the first frame, then from the oldest to the newest
        times = self._tracker.memory_temporal_positional_encoding[[step - 1 for step in steps], 0]
        places: Tensor = (self._places + times).flatten(0, 1)
        return places

    def _pointer_places(self, ages: Tensor, pointers: Tensor) -> Tensor:
        """Encode how many steps ago, (N, P), pointers (N, P, C) were made, as (N, P, M)."""
        config = self._tracker.config
        if not config.enable_temporal_pos_encoding_for_object_pointers:  # as in SAM 2.0
            return pointers.new_zeros(*ages.shape, self._places.shape[-1])
        waves = _waves(ages / (config.max_object_pointers_in_encoder - 1), pointers.shape[-1])
        layer = self._tracker.temporal_positional_encoding_projection_layer
        places: Tensor = layer(waves.to(pointers.dtype))
        return places

    def _asked(self, maps: Maps, known: Recollection) -> dict[str, Any]:
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


def _waves(ages: Tensor, width: int) -> Tensor:
    """Write ages, (N, P), as sines and cosines of ever slower waves, (N, P, width)."""
    half = width // 2
    pairs = torch.arange(half, device=ages.device) // 2
    angles = ages[..., None] / SLOWEST ** (2 * pairs / half)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)

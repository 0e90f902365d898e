"""Following objects from frame to frame by what is remembered of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..backend import Answer
from ..masks import Reading
from .drawing import draw
from .maps import Maps
from .memory import Memory, Span, Track
from .pictures import Scaling
from .prompting import Decoded, PromptDecoder
from .recall import Recall
from .remembering import MemoryEncoder, enlarged


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

    def remember(self, track: Track | None, maps: Maps, answer: Answer) -> Track:
        """Return the track of an object that is on the image as answered."""
        if isinstance(answer.memory, Sighting):
            memory = self._seen(maps, answer.memory)
        else:
            memory = self._given(maps, answer.pixels)
        return Track(memory, self._span) if track is None else track.continued(memory)

    def follow(self, maps: Maps, tracks: Sequence[Track]) -> list[Answer]:
        """Find tracked objects on the next image, those with equally long tracks in one pass."""
        follow = partial(self._follow, maps)
        return self._decoder.passes.run(follow, tracks, attrgetter("kind"))

    @cached_property
    def _writer(self) -> MemoryEncoder:
        return MemoryEncoder(self._tracker, self._decoder.side, self._decoder.encoder.mask_side)

    @cached_property
    def _reader(self) -> Recall:
        return Recall(self._tracker, self._writer.places)

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

    def _follow(self, maps: Maps, tracks: Sequence[Track]) -> list[Answer]:
        coarse = self._reader.recall(maps, tracks)
        nothing = self._decoder.encoder.encode_nothing(len(tracks))
        decoded = self._decoder.decode(maps, coarse, nothing)
        return [self._answer(decoded, index, maps.shape) for index in range(len(tracks))]

    def _answer(self, decoded: Decoded, index: int, shape: tuple[int, int]) -> Answer:
        """Draw the best mask of an object on an image (H, W), if it is there."""
        presence = float(torch.sigmoid(decoded.presence[index]))
        if decoded.presence[index] <= 0:
            return Answer((Reading("whole", np.zeros(shape, bool), 0.0),), presence)
        best = int(decoded.scores[index].argmax())
        logits = decoded.logits[index, best].clone()  # keeps nothing of the other objects
        mask = draw(logits, Scaling.squeezed(shape, self._decoder.side))
        reading = Reading("whole", mask, float(decoded.scores[index, best]))
        return Answer((reading,), presence, Sighting(logits, self._pointer(decoded, index)))

    def _pointer(self, decoded: Decoded, index: int) -> Tensor:
        """Point to an object, (C,), or to none where the decoder sees none."""
        if decoded.presence[index] <= 0:
            return self._tracker.no_object_pointer[0]
        best = int(decoded.scores[index].argmax())
        pointer: Tensor = self._tracker.object_pointer_proj(decoded.tokens[index, best])
        return pointer

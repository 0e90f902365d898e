"""A model that takes the time of another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine.backend import Answer, Backend, Embedding
from .engine.cache.packing import Packed
from .engine.finding.concepts import Candidates, Concept
from .engine.finding.exemplars import Appearance, Box
from .engine.prompts import Prompts


class TimedBackend:
    """Passes every question on and notes how long the answer took.

    Attributes
    ----------
    spent : dict
        Seconds of every call so far, by the name of the method.
    """

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self.revision = backend.revision
        self.device = backend.device
        self.reads_text = backend.reads_text
        self.reads_exemplars = backend.reads_exemplars
        self.spent: dict[str, list[float]] = defaultdict(list)
        self._backend = backend

    @property
    def total(self) -> float:
        """Seconds of all calls so far."""
        return sum(sum(seconds) for seconds in self.spent.values())

    def encode(self, image: NDArray[np.float32]) -> Embedding:
        """Embed one image, (H, W, 3)."""
        with self._timing("encode"):
            return self._backend.encode(image)

    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> Sequence[Embedding]:
        """Embed several images, each (H, W, 3)."""
        with self._timing("encode"):
            return self._backend.encode_batch(images)

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays."""
        with self._timing("pack"):
            return self._backend.pack(embedding)

    def unpack(self, packed: Packed) -> Embedding:
        """Return the embedding that was packed."""
        with self._timing("unpack"):
            return self._backend.unpack(packed)

    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Answer | None],
    ) -> list[Answer]:
        """Answer the prompts of several objects."""
        with self._timing("segment"):
            return self._backend.segment(embedding, prompts, previous)

    def everything(self, embedding: Embedding) -> Candidates:
        """Find all objects of the image."""
        with self._timing("everything"):
            return self._backend.everything(embedding)

    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Find all objects that a text or exemplars describe."""
        with self._timing("find"):
            return self._backend.find(embedding, concept)

    def appearance(self, embedding: Embedding, box: Box) -> Appearance:
        """Return what objects like the one in a box of the image are recognised by."""
        with self._timing("appearance"):
            return self._backend.appearance(embedding, box)

    def remember(self, track: Any | None, embedding: Embedding, answer: Answer) -> Any:
        """Return the track of an object that is on the image as answered."""
        with self._timing("remember"):
            return self._backend.remember(track, embedding, answer)

    def follow(self, embedding: Embedding, tracks: Sequence[Any]) -> list[Answer]:
        """Find the tracked objects on the next image."""
        with self._timing("follow"):
            return self._backend.follow(embedding, tracks)

    @contextmanager
    def _timing(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.spent[name].append(perf_counter() - start)

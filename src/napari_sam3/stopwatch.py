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
from .engine.concepts import Candidates, Concept
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
        self.reads_concepts = backend.reads_concepts
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

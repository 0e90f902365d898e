"""One loaded model, with what it has seen and whose turn it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .backend import Backend, Embedding
from .contrast import Contrast
from .embeddings import EmbeddingCache, EmbeddingKey
from .errors import ModelError
from .frames import Frames
from .turns import Turns
from .watch import Watch
from .windows import Window


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame as the user sees it."""

    frames: Frames
    contrast: Contrast
    frame: int
    window: Window | None = None  # the part that is looked at; None for all of it

    def draw(self) -> NDArray[np.float32]:
        """Read the frame and return what is seen, (H, W, 3) in 0..1."""
        if self.window is None:
            return self.contrast.compose(self.frames.read(self.frame))
        return self.contrast.compose(self.frames.read_window(self.frame, self.window))

    def key(self, revision: str) -> EmbeddingKey:
        """Name its embedding by a model of this revision."""
        return EmbeddingKey(
            self.frames.token, self.frame, self.contrast.token, revision, self.window
        )


class Model:
    """A backend, its embeddings and its turns, shared by all sessions of an engine."""

    def __init__(self, backend: Backend, cache_bytes: int) -> None:
        self._backend: Backend | None = backend
        self.embeddings = EmbeddingCache(cache_bytes)
        self.turns = Turns()
        self.watch = Watch()
        self._latest: tuple[EmbeddingKey, Embedding] | None = None  # even if it is a large one

    @property
    def backend(self) -> Backend:
        """What answers, as long as it is loaded."""
        if self._backend is None:
            raise ModelError("The model was unloaded: load it again and open the image anew.")
        return self._backend

    @property
    def is_closed(self) -> bool:
        """Whether it was unloaded."""
        return self._backend is None

    @contextmanager
    def embedded(self, picture: Picture, turn: AbstractContextManager[None]) -> Iterator[Embedding]:
        """Take a turn and hand out the embedding of a picture.

        An embedding that is not known yet is made in this turn. The picture is drawn before, so
        that nobody waits for a disk.
        """
        key = picture.key(self.backend.revision)
        known = self._known(key)
        if known is not None:
            with turn:
                yield known
            return
        image = picture.draw()
        with turn:
            yield self._encoded(key, image)

    def _encoded(self, key: EmbeddingKey, image: NDArray[np.float32]) -> Embedding:
        known = self._known(key)  # made while this thread waited for its turn?
        if known is not None:
            return known
        with self.watch.kept():
            embedding = self.backend.encode(image)
        self.embeddings.put(key, embedding)
        self._latest = key, embedding
        return embedding

    def _known(self, key: EmbeddingKey) -> Embedding | None:
        known, latest = self.embeddings.get(key), self._latest
        if known is None and latest is not None and latest[0] == key:
            return latest[1]
        return known

    def close(self) -> None:
        """Free the model and everything it has seen."""
        with self.turns.interactive():
            self._backend = None
            self._latest = None
            self.embeddings.clear()

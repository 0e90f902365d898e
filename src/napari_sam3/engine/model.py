"""One loaded model, with what it has seen and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..values import ModelError
from .backends.base import Backend, Embedding
from .backends.clip.clip import Clip
from .cache.budgets import Budgets
from .cache.tiers import Embeddings, Source
from .images.model_input import EmbeddingKey, ModelInput
from .progress import GaveWayError, Watch
from .scheduling import Batches, Turn, Turns


class Model:
    """A backend, its embeddings and its turns, shared by all sessions of an engine."""

    def __init__(self, backend: Backend, budgets: Budgets) -> None:
        self._backend: Backend | None = backend
        self.embeddings = Embeddings(backend, budgets)
        self.turns = Turns()
        self.watch = Watch()
        self.clip: Clip | None = None  # reads texts beside the backend
        self.batches = Batches(backend.device)
        self._latest: tuple[EmbeddingKey, Embedding] | None = None  # even if it is a large one

    @property
    def backend(self) -> Backend:
        """What answers, as long as it is loaded."""
        if self._backend is None:
            raise ModelError("The model was unloaded: load it again and open the image anew.")
        return self._backend

    @property
    def latest(self) -> tuple[EmbeddingKey, Embedding] | None:
        """What was embedded or read last."""
        return self._latest

    @property
    def is_closed(self) -> bool:
        """Whether it was unloaded."""
        return self._backend is None

    @contextmanager
    def embedded(self, picture: ModelInput, turn: Turn) -> Iterator[Embedding]:
        """Take a turn and hand out the embedding of a picture.

        An embedding that is not known yet is made in this turn. What it is made from is read
        before, and written after it, so that nobody waits for a disk. In a background turn it is
        left for a click on another picture, and made after that.
        """
        key = picture.key(self.backend.revision)
        known = self._known(key)
        if known is not None:
            with turn.about(key):
                yield known
            return
        with self._sources([picture], self.embeddings.source) as sources:
            while True:
                with turn.about(key):
                    embeddings = self._made(sources)
                    if embeddings is not None:
                        yield embeddings[0]
                        return

    def embed(self, pictures: Sequence[ModelInput], turn: Turn) -> None:
        """Take a turn and embed pictures in one pass of the model; see `embedded`.

        Those that are kept on disk stay there until somebody asks about them.
        """
        with self._sources(pictures, self.embeddings.missing) as sources:
            while sources:
                with turn.about(*sources):
                    if self._made(sources) is not None:
                        return

    def is_ready(self, picture: ModelInput) -> bool:
        """Whether an embedding is known, here or on disk, as far as is known without reading.

        Of a frame that was not read in this process, nobody knows yet what is on disk.
        """
        revision = self.backend.revision
        latest = self._latest
        is_latest = latest is not None and latest[0] == picture.key(revision)
        return is_latest or self.embeddings.has(picture, revision)

    @contextmanager
    def _sources(
        self, pictures: Sequence[ModelInput], find: Callable[[ModelInput, str], Source | None]
    ) -> Iterator[dict[EmbeddingKey, Source]]:
        """Read what is kept of pictures, or draw them, and write what was made of them."""
        revision = self.backend.revision
        found = {one.key(revision): find(one, revision) for one in pictures}
        sources = {key: source for key, source in found.items() if source is not None}
        try:
            yield sources
        finally:
            self.embeddings.write(sources.values())

    def _made(self, sources: Mapping[EmbeddingKey, Source]) -> list[Embedding] | None:
        """Make embeddings that are not known yet; None if a click on another one goes first."""
        known = {key: self._unpacked(key, source) for key, source in sources.items()}
        missing = [key for key, embedding in known.items() if embedding is None]
        images = [image for key in missing if (image := sources[key].image) is not None]
        try:
            with self.watch.kept(lambda: self.turns.is_in_the_way):
                made = dict(zip(missing, self.batches.encoded(self.backend, images), strict=True))
        except GaveWayError:
            return None
        for key, embedding in made.items():
            self._keep(key, embedding)
            if sources[key].place is not None:
                sources[key].packed = self.backend.pack(embedding)
        return [made[key] if one is None else one for key, one in known.items()]

    def _unpacked(self, key: EmbeddingKey, source: Source) -> Embedding | None:
        known = self._known(key)  # made while this thread waited for its turn?
        if known is not None or source.packed is None:
            return known
        embedding = self.backend.unpack(source.packed)
        self._keep(key, embedding)
        return embedding

    def _keep(self, key: EmbeddingKey, embedding: Embedding) -> None:
        self.embeddings.put(key, embedding, self.backend)
        self._latest = key, embedding

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

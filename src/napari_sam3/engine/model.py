"""One loaded model: its backend, its embeddings, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..values import ModelError
from .backends.base import Backend, Embedding
from .backends.clip.clip import Clip
from .cache.budgets import Budgets
from .cache.tiers import Embeddings, EmbeddingSource
from .images.model_input import EmbeddingKey, ModelInput
from .progress import EncodingMonitor, PreemptedError
from .scheduling import BatchEncoder, Turn, Turns


class Model:
    """A backend, its embeddings and its turns, shared by all sessions of an engine."""

    def __init__(self, backend: Backend, budgets: Budgets) -> None:
        self._backend: Backend | None = backend
        self.embeddings = Embeddings(backend, budgets)
        self.turns = Turns()
        self.monitor = EncodingMonitor()
        self.batch_encoder = BatchEncoder(backend.device)
        self.clip: Clip | None = None  # reads texts beside the backend
        self._latest: tuple[EmbeddingKey, Embedding] | None = None  # even if it exceeds the cache

    @property
    def backend(self) -> Backend:
        """The network, as long as it is loaded.

        Raises
        ------
        ModelError
            If the model was unloaded.
        """
        if self._backend is None:
            raise ModelError("The model was unloaded: load it again and open the image anew.")
        return self._backend

    @property
    def description(self) -> dict[str, str]:
        """Name and revision of the network."""
        return {"name": self.backend.name, "revision": self.backend.revision}

    @property
    def latest(self) -> tuple[EmbeddingKey, Embedding] | None:
        """The embedding that was encoded or unpacked last, and its key."""
        return self._latest

    @property
    def is_closed(self) -> bool:
        """Whether the model was unloaded."""
        return self._backend is None

    @contextmanager
    def embedding(self, model_input: ModelInput, turn: Turn) -> Iterator[Embedding]:
        """Take a turn and hand out the embedding of a model input.

        Unless it is cached, it is encoded in this turn. Reading from disk comes before the turn and
        writing after it, so that no click waits for a disk. A background turn is interrupted for a
        click that needs another embedding, and repeated after it.
        """
        key = model_input.key(self.backend.revision)
        cached = self._cached(key)
        if cached is not None:
            with turn.for_keys(key):
                yield cached
            return
        with self._sources([model_input], self.embeddings.source) as sources:
            while True:
                with turn.for_keys(key):
                    embeddings = self._encode(sources)
                    if embeddings is not None:
                        yield embeddings[0]
                        return

    def encode(self, model_inputs: Sequence[ModelInput], turn: Turn) -> None:
        """Take a turn and encode model inputs in one batch; see `embedding`.

        Embeddings that are on disk stay there until they are needed.
        """
        with self._sources(model_inputs, self.embeddings.source_unless_stored) as sources:
            while sources:
                with turn.for_keys(*sources):
                    if self._encode(sources) is not None:
                        return

    def is_ready(self, model_input: ModelInput) -> bool:
        """Whether an embedding is cached, in memory or on disk, as far as known without reading.

        Entries on disk are named by pixels, so those of a frame that this process has not read are
        not known yet.
        """
        revision = self.backend.revision
        latest = self._latest
        is_latest = latest is not None and latest[0] == model_input.key(revision)
        return is_latest or self.embeddings.has(model_input, revision)

    def close(self) -> None:
        """Free the model and all embeddings in memory."""
        with self.turns.interactive():
            self._backend = None
            self._latest = None
            self.embeddings.clear()

    @contextmanager
    def _sources(
        self,
        model_inputs: Sequence[ModelInput],
        source_of: Callable[[ModelInput, str], EmbeddingSource | None],
    ) -> Iterator[dict[EmbeddingKey, EmbeddingSource]]:
        """Read what embeddings are made from, and write afterwards those that were encoded."""
        revision = self.backend.revision
        by_key = {each.key(revision): source_of(each, revision) for each in model_inputs}
        sources = {key: source for key, source in by_key.items() if source is not None}
        try:
            yield sources
        finally:
            self.embeddings.write(sources.values())

    def _encode(self, sources: Mapping[EmbeddingKey, EmbeddingSource]) -> list[Embedding] | None:
        """Return the embeddings of all sources; None if a click on another image goes first."""
        cached = {key: self._unpacked(key, source) for key, source in sources.items()}
        missing = [key for key, embedding in cached.items() if embedding is None]
        images = [image for key in missing if (image := sources[key].image) is not None]
        try:
            with self.monitor.monitored(lambda: self.turns.is_click_blocked):
                encoded = self.batch_encoder.encode(self.backend, images)
        except PreemptedError:
            return None
        new = dict(zip(missing, encoded, strict=True))
        for key, embedding in new.items():
            self._keep(key, embedding)
            if sources[key].location is not None:
                sources[key].packed = self.backend.pack(embedding)
        return [new[key] if known is None else known for key, known in cached.items()]

    def _unpacked(self, key: EmbeddingKey, source: EmbeddingSource) -> Embedding | None:
        cached = self._cached(key)  # encoded while this thread waited for its turn?
        if cached is not None or source.packed is None:
            return cached
        embedding = self.backend.unpack(source.packed)
        self._keep(key, embedding)
        return embedding

    def _keep(self, key: EmbeddingKey, embedding: Embedding) -> None:
        self.embeddings.put(key, embedding, self.backend)
        self._latest = key, embedding

    def _cached(self, key: EmbeddingKey) -> Embedding | None:
        cached, latest = self.embeddings.get(key), self._latest
        if cached is None and latest is not None and latest[0] == key:
            return latest[1]
        return cached

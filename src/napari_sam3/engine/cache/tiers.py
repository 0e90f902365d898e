"""The embedding cache of a model: on the device, then in main memory, then on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..backends.base import Backend, Embedding, Packed
from ..bounded_cache import BoundedCache
from ..images.frames import Frames
from ..images.model_input import EmbeddingKey, ModelInput
from .budgets import Budgets
from .disk_cache import CacheLocation, DiskCaches

MAX_PENDING_WRITES = 2
"""One under way and one that waits; the next `submit` waits for the first."""


@dataclass(slots=True, eq=False)
class EmbeddingSource:
    """What an embedding is made from: its packed arrays, or else the image."""

    packed: Packed | None = None
    image: NDArray[np.float32] | None = None  # (H, W, 3) in 0..1, where nothing is packed
    location: CacheLocation | None = None  # where it is to be written


class Embeddings:
    """All embeddings of a model, cached as near to it as there is room.

    The device holds embeddings as the model made them. What is evicted there is packed into main
    memory. Where the model runs on the CPU, both are the same memory, and there is one tier less.
    New embeddings are also written to the folder of their stack, if it has one.

    Embeddings are shared and never changed. NumPy arrays in them are made read-only; tensors cannot
    be, so a backend must not write into an embedding it is given. Any thread may read; the thread
    that has its turn at the model writes.
    """

    def __init__(self, backend: Backend, budgets: Budgets) -> None:
        is_cpu = backend.device == "cpu"
        device_bytes = budgets.memory if is_cpu else budgets.device
        memory_bytes = 0 if is_cpu else budgets.memory
        self.on_device: BoundedCache[EmbeddingKey, Embedding] = BoundedCache(device_bytes)
        self.in_memory: BoundedCache[EmbeddingKey, Packed] = BoundedCache(memory_bytes)
        self.disk_caches = DiskCaches(budgets.disk)
        self._writer = Writer()
        self._stored_bytes: WeakKeyDictionary[Frames, int] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self.on_device) + len(self.in_memory)

    @property
    def nbytes(self) -> int:
        """Bytes on the device and in memory."""
        return self.on_device.nbytes + self.in_memory.nbytes

    @property
    def max_bytes(self) -> int:
        """Bytes that there may be on the device and in memory."""
        return self.on_device.max_bytes + self.in_memory.max_bytes

    @property
    def on_disk(self) -> int:
        """Bytes in the folders of all stacks that were opened; measured on the disk."""
        return sum(store.nbytes for store in self.disk_caches.stores)

    @property
    def warning(self) -> str:
        """Why embeddings are not kept on disk, for the user; empty when they are."""
        return next((store.warning for store in self.disk_caches.stores if store.warning), "")

    def set_folder(self, frames: Frames, folder: Path) -> None:
        """Keep the embeddings of a stack in a folder."""
        self.disk_caches.set_folder(frames, folder)

    def set_default_folder(self, folder: Path) -> None:
        """Keep the embeddings of all stacks without a folder of their own in this one."""
        self.disk_caches.set_default_folder(folder)

    def has(self, model_input: ModelInput, revision: str) -> bool:
        """Whether an embedding is in any tier, as far as known without reading its frame."""
        key = model_input.key(revision)
        if key in self.on_device or key in self.in_memory:
            return True
        location = self.disk_caches.known_location(model_input, revision)
        return location is not None and location.is_written

    def recognise(self, model_input: ModelInput, revision: str) -> None:
        """Read a frame, so that `has` knows whether its embedding is on disk."""
        self._located(model_input, revision)

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """Return an embedding that is on the device."""
        return self.on_device.get(key)

    def put(self, key: EmbeddingKey, embedding: Embedding, backend: Backend) -> None:
        """Keep an embedding on the device; what is evicted there is packed into memory."""
        _make_read_only(embedding)
        for evicted_key, evicted in self.on_device.put(key, embedding):
            fits = evicted.nbytes <= self.in_memory.max_bytes
            if fits and self.in_memory.get(evicted_key) is None:
                self.in_memory.put(evicted_key, backend.pack(evicted))

    def source(self, model_input: ModelInput, revision: str) -> EmbeddingSource:
        """Return what an embedding is made from: packed arrays if there are any, or the image.

        The frame is read at most once, and only if needed.
        """
        packed = self.in_memory.get(model_input.key(revision))
        if packed is not None:
            return EmbeddingSource(packed)
        location, pixels = self._located(model_input, revision)
        packed = None if location is None else location.get()
        if packed is not None:
            return EmbeddingSource(packed)
        return self._image_source(model_input, revision, location, pixels)

    def source_unless_stored(
        self, model_input: ModelInput, revision: str
    ) -> EmbeddingSource | None:
        """Return the image that an embedding is made from; None if it is in memory or on disk.

        What is on disk stays there, and the frame is read at most once.
        """
        if model_input.key(revision) in self.in_memory:
            return None
        location, pixels = self._located(model_input, revision)
        nbytes = None if location is None else location.measure()
        if nbytes is None:
            return self._image_source(model_input, revision, location, pixels)
        if model_input.window is None:
            self._stored_bytes[model_input.frames] = nbytes
        return None

    def stored_bytes(self, frames: Frames) -> int | None:
        """Return the bytes of an embedding of a stack that `source_unless_stored` measured."""
        return self._stored_bytes.get(frames)

    def write(self, sources: Iterable[EmbeddingSource]) -> None:
        """Write the embeddings that were encoded from an image and packed."""
        for source in sources:
            if source.location is not None and source.packed is not None:
                self._writer.submit(partial(source.location.put, source.packed))

    def finish(self) -> None:
        """Wait until all embeddings are written."""
        self._writer.finish()

    def clear(self) -> None:
        """Drop all embeddings that are not on disk, and end writing."""
        self._writer.close()
        self.on_device.clear()
        self.in_memory.clear()

    def _located(
        self, model_input: ModelInput, revision: str
    ) -> tuple[CacheLocation | None, NDArray[Any] | None]:
        """Return where an embedding is on disk, and the pixels if they were read for that."""
        location = self.disk_caches.known_location(model_input, revision)
        return self._read(model_input, revision) if location is None else (location, None)

    def _image_source(
        self,
        model_input: ModelInput,
        revision: str,
        location: CacheLocation | None,
        pixels: NDArray[Any] | None,
    ) -> EmbeddingSource:
        """Compose the image of an embedding that is to be encoded.

        Where its pixels are read only now, the location is theirs: they may have changed since.
        """
        if pixels is None:
            location, pixels = self._read(model_input, revision)
        return EmbeddingSource(None, model_input.contrast.compose(pixels), location)

    def _read(
        self, model_input: ModelInput, revision: str
    ) -> tuple[CacheLocation | None, NDArray[Any]]:
        """Read a model input; return where its embedding is on disk, and the pixels."""
        pixels = model_input.read().copy()  # a stack may be written to while these are encoded
        return self.disk_caches.location(model_input, revision, pixels), pixels


class Writer:
    """Writes embeddings in a thread of its own, in the order they are submitted.

    To compress and write an embedding of a small model takes about a third of the time of encoding
    it, and a click may wait for the mask. A program that ends without `finish` loses the latest.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._pending: deque[Future[None]] = deque()
        self._thread: ThreadPoolExecutor | None = None

    def submit(self, write: Callable[[], None]) -> None:
        """Write soon; waits while there are `MAX_PENDING_WRITES` before it."""
        with self._lock:
            while len(self._pending) >= MAX_PENDING_WRITES:
                self._pending.popleft().result()
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "napari-sam3 keeps embeddings")
            with suppress(RuntimeError):  # Python exits, and threads get no more work
                self._pending.append(self._thread.submit(write))

    def finish(self) -> None:
        """Wait until everything is written."""
        with self._lock:
            while self._pending:
                self._pending.popleft().result()

    def close(self) -> None:
        """Wait until everything is written, and end the thread."""
        self.finish()
        with self._lock:
            if self._thread is not None:
                self._thread.shutdown()
            self._thread = None


def _make_read_only(embedding: Any) -> None:
    names = [*getattr(embedding, "__slots__", ()), *getattr(embedding, "__dict__", ())]
    for name in names:
        value = getattr(embedding, name)
        if isinstance(value, np.ndarray):
            value.setflags(write=False)

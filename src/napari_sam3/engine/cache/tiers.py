"""Embeddings on the device, then in memory, then on disk."""

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

MOST_WAITING = 2
"""One that is being written and one that waits; who brings another one waits for the first."""


class Writer:
    """Writes one thing after the other, beside the threads that bring them.

    Compressing and writing what a small model sees of an image takes about a third of the time
    that it looks at it, and somebody may be waiting for the answer: so it is written meanwhile.
    A program that ends without `finish` loses what was brought last.
    """

    def __init__(self) -> None:
        self._bringing = Lock()
        self._waiting: deque[Future[None]] = deque()
        self._thread: ThreadPoolExecutor | None = None

    def bring(self, write: Callable[[], None]) -> None:
        """Have something written, as soon as all but one of those before are."""
        with self._bringing:
            while len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft().result()
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "napari-sam3 keeps embeddings")
            with suppress(RuntimeError):  # Python ends, and takes no new work
                self._waiting.append(self._thread.submit(write))

    def finish(self) -> None:
        """Wait until everything is written."""
        with self._bringing:
            while self._waiting:
                self._waiting.popleft().result()

    def close(self) -> None:
        """Wait until everything is written, and end the thread."""
        self.finish()
        with self._bringing:
            if self._thread is not None:
                self._thread.shutdown()
            self._thread = None


@dataclass(slots=True, eq=False)
class Source:
    """What an embedding is made from: what was kept of it, or the image."""

    packed: Packed | None = None
    image: NDArray[np.float32] | None = None  # (H, W, 3) in 0..1, where nothing was kept
    place: CacheLocation | None = None  # where it is to be kept


class Embeddings:
    """What a model has seen, as near to it as there is room.

    The device holds embeddings as the model made them, ready to be asked. What has no room there
    any more is packed into memory. Where the CPU calculates, its memory is that of the device, and
    there is one tier less. What is made is also written to the store of its stack, if it has one.

    Embeddings are shared and never changed. NumPy arrays in them are made read-only; tensors cannot
    be, so a backend must not write into an embedding it is given. Any thread may ask, and the one
    that has its turn puts.
    """

    def __init__(self, backend: Backend, budgets: Budgets) -> None:
        is_one = backend.device == "cpu"
        near, far = (budgets.memory, 0) if is_one else (budgets.device, budgets.memory)
        self.on_device: BoundedCache[EmbeddingKey, Embedding] = BoundedCache(near)
        self.in_memory: BoundedCache[EmbeddingKey, Packed] = BoundedCache(far)
        self.disk_caches = DiskCaches(budgets.disk)
        self._writer = Writer()
        self._kept_bytes: WeakKeyDictionary[Frames, int] = WeakKeyDictionary()

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
        """Bytes in the folders of all stacks that were opened; they are counted on the disk."""
        return sum(store.nbytes for store in self.disk_caches.stores)

    @property
    def warning(self) -> str:
        """Why embeddings are not kept on disk, for the user; empty when they are."""
        return next((store.warning for store in self.disk_caches.stores if store.warning), "")

    def keep(self, frames: Frames, folder: Path) -> None:
        """Keep what is seen of a stack in a folder."""
        self.disk_caches.keep(frames, folder)

    def keep_others(self, folder: Path) -> None:
        """Keep what is seen of stacks for which no folder was named in this one."""
        self.disk_caches.keep_others(folder)

    def has(self, picture: ModelInput, revision: str) -> bool:
        """Whether an embedding is known, as far as that can be told without reading its frame."""
        key = picture.key(revision)
        if key in self.on_device or key in self.in_memory:
            return True
        place = self.disk_caches.known_location(picture, revision)
        return place is not None and place.is_taken

    def recognise(self, picture: ModelInput, revision: str) -> None:
        """Read a frame, so that it is known whether its embedding is on disk."""
        self._sought(picture, revision)

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """Return an embedding that is on the device."""
        return self.on_device.get(key)

    def put(self, key: EmbeddingKey, embedding: Embedding, backend: Backend) -> None:
        """Keep an embedding on the device, and pack others of this backend into memory for it."""
        _make_read_only(embedding)
        for old, gone in self.on_device.put(key, embedding):
            fits = gone.nbytes <= self.in_memory.max_bytes
            if fits and self.in_memory.get(old) is None:
                self.in_memory.put(old, backend.pack(gone))

    def source(self, picture: ModelInput, revision: str) -> Source:
        """Return what is kept of an embedding; the frame is read at most once, and only if needed.

        The image is drawn where nothing is kept.
        """
        packed = self.in_memory.get(picture.key(revision))
        if packed is not None:
            return Source(packed)
        place, pixels = self._sought(picture, revision)
        packed = None if place is None else place.get()
        if packed is not None:
            return Source(packed)
        return self._drawn(picture, revision, place, pixels)

    def missing(self, picture: ModelInput, revision: str) -> Source | None:
        """Return what an embedding is to be made from, or None if one is kept as a whole.

        What is on disk stays there, and the frame is read at most once.
        """
        if picture.key(revision) in self.in_memory:
            return None
        place, pixels = self._sought(picture, revision)
        nbytes = None if place is None else place.measure()
        if nbytes is None:
            return self._drawn(picture, revision, place, pixels)
        if picture.window is None:
            self._kept_bytes[picture.frames] = nbytes
        return None

    def kept_bytes(self, frames: Frames) -> int | None:
        """Return the bytes of one embedding of a stack, if `missing` has found one on disk."""
        return self._kept_bytes.get(frames)

    def write(self, sources: Iterable[Source]) -> None:
        """Write those that were made from an image and packed."""
        for source in sources:
            if source.place is not None and source.packed is not None:
                self._writer.bring(partial(source.place.put, source.packed))

    def finish(self) -> None:
        """Wait until what was made is written."""
        self._writer.finish()

    def clear(self) -> None:
        """Let go of all that is not on disk, and end writing."""
        self._writer.close()
        self.on_device.clear()
        self.in_memory.clear()

    def _sought(
        self, picture: ModelInput, revision: str
    ) -> tuple[CacheLocation | None, NDArray[Any] | None]:
        """Return where an embedding lies on disk, and the pixels if they were read for that."""
        place = self.disk_caches.known_location(picture, revision)
        return self._named(picture, revision) if place is None else (place, None)

    def _drawn(
        self,
        picture: ModelInput,
        revision: str,
        place: CacheLocation | None,
        pixels: NDArray[Any] | None,
    ) -> Source:
        """Draw what is to be kept at a place.

        Where pixels are read for that, it is theirs: they may have changed since it was named.
        """
        if pixels is None:
            place, pixels = self._named(picture, revision)
        return Source(None, picture.contrast.compose(pixels), place)

    def _named(
        self, picture: ModelInput, revision: str
    ) -> tuple[CacheLocation | None, NDArray[Any]]:
        """Read a picture, and return the place of its embedding and the pixels."""
        pixels = picture.read().copy()  # a stack may be written to while these are looked at
        return self.disk_caches.place(picture, revision, pixels), pixels


def _make_read_only(embedding: Any) -> None:
    names = [*getattr(embedding, "__slots__", ()), *getattr(embedding, "__dict__", ())]
    for name in names:
        part = getattr(embedding, name)
        if isinstance(part, np.ndarray):
            part.setflags(write=False)

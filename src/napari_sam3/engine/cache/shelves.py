"""Where the embeddings of a picture lie on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from numpy.typing import NDArray

from ..images.frames import Frames
from ..images.picture import Picture
from ..images.windows import Window
from .packing import Packed
from .signing import Origin, Signature, pixels_digest, window_text
from .store import EmbeddingStore


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where one embedding lies, if it was written."""

    store: EmbeddingStore
    signature: Signature
    origin: Origin

    @property
    def is_taken(self) -> bool:
        """Whether it was written."""
        return self.signature in self.store

    def get(self) -> Packed | None:
        """Read it; None if it is not there or damaged."""
        return self.store.get(self.signature)

    def measure(self) -> int | None:
        """Return its bytes, without reading it; None if it is not there as a whole."""
        return self.store.measure(self.signature)

    def put(self, packed: Packed) -> None:
        """Write it, if there is room."""
        self.store.put(self.signature, packed, self.origin)


class Shelves:
    """Knows the store of each stack, and what was seen of its frames in this process.

    Whether an embedding belongs to a frame is told from the frame's pixels. They are read for
    that once; as long as the stack is open, its frames are taken for what they were. Where one is
    read once more, it is named anew.

    Parameters
    ----------
    max_bytes : int
        What the embeddings in one store may occupy.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._stores: dict[Path, EmbeddingStore] = {}
        self._chosen: WeakKeyDictionary[Frames, EmbeddingStore] = WeakKeyDictionary()
        self._digests: WeakKeyDictionary[Frames, dict[tuple[int, Window | None], str]] = (
            WeakKeyDictionary()
        )
        self._otherwise: EmbeddingStore | None = None

    @property
    def stores(self) -> list[EmbeddingStore]:
        """All stores that were named."""
        return list(self._stores.values())

    def keep(self, frames: Frames, folder: Path) -> None:
        """Keep the embeddings of a stack in a folder."""
        self._chosen[frames] = self._store(folder)

    def keep_others(self, folder: Path) -> None:
        """Keep the embeddings of stacks for which no folder was named."""
        self._otherwise = self._store(folder)

    def keeps(self, picture: Picture) -> bool:
        """Whether embeddings of a stack are kept on disk."""
        return self._store_of(picture) is not None

    def room(self, picture: Picture) -> int:
        """Return the bytes that the embeddings of a stack may occupy on disk; 0 if none may."""
        store = self._store_of(picture)
        return 0 if store is None else store.room

    def known_place(self, picture: Picture, revision: str) -> Place | None:
        """Return the place of an embedding whose picture was read before."""
        store = self._store_of(picture)
        digest = self._digests.get(picture.frames, {}).get((picture.frame, picture.window))
        if store is None or digest is None:
            return None
        return _place(store, picture, revision, digest)

    def place(self, picture: Picture, revision: str, pixels: NDArray[Any]) -> Place | None:
        """Return the place of an embedding; None if it is not to be kept.

        Parameters
        ----------
        picture : Picture
            What is embedded.
        revision : str
            Of the model.
        pixels : (H, W, C) array
            What `Picture.read` returns.
        """
        store = self._store_of(picture)
        if store is None:
            return None
        digest = pixels_digest(pixels)
        self._digests.setdefault(picture.frames, {})[picture.frame, picture.window] = digest
        return _place(store, picture, revision, digest)

    def remembered(self, picture: Picture, revision: str) -> list[int]:
        """Return the frames of a stack of which there may be embeddings, as far as not read."""
        store = self._store_of(picture)
        if store is None:
            return []
        read = {frame for frame, window in self._digests.get(picture.frames, {}) if window is None}
        alike = _signature(replace(picture, window=None), revision, "")
        return [one for one in store.frames_of(_shape(picture), alike) if one not in read]

    def _store_of(self, picture: Picture) -> EmbeddingStore | None:
        return self._chosen.get(picture.frames, self._otherwise)

    def _store(self, folder: Path) -> EmbeddingStore:
        known = self._stores.get(folder)
        if known is None:
            known = self._stores[folder] = EmbeddingStore(folder, self._max_bytes)
        return known


def _place(store: EmbeddingStore, picture: Picture, revision: str, digest: str) -> Place:
    origin = Origin(_shape(picture), picture.frame)
    return Place(store, _signature(picture, revision, digest), origin)


def _shape(picture: Picture) -> tuple[int, int, int, int]:
    frames = picture.frames
    return frames.count, *frames.shape, frames.channels


def _signature(picture: Picture, revision: str, digest: str) -> Signature:
    return Signature(revision, picture.contrast.token, window_text(picture.window), digest)

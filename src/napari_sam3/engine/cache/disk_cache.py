"""Embeddings in a folder, for the next session or another process."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from numpy.typing import NDArray

from ...storage import SPARE_BYTES, free_bytes
from ..backends.base import Packed
from ..images.frames import Frames
from ..images.model_input import ModelInput
from ..images.windows import Window
from .content_hash import Origin, Signature, pixels_digest, window_text
from .entries import UNREADABLE, DamagedError, measure_entry, read_entry, read_origin, write_entry
from .quota import Quota, discard, folder_bytes, folders, mark_used, shared_group

logger = logging.getLogger(__name__)

T = TypeVar("T")

FULL = (errno.ENOSPC, errno.EDQUOT)
NO_MORE_WORK = "cannot schedule new futures"
"""What `concurrent.futures` says, by which zarr reads and writes, while Python ends."""
TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES)
"""What a system says when a folder is to be put in the place of another."""


class EmbeddingStore:
    """A group of zarr with an entry for each embedding; processes may share it.

    An entry is written aside and put in its place by one renaming, so it is there as a whole or
    not at all. Nothing that happens to the folder is an error: an embedding that cannot be read is
    made again, and one that cannot be written is not kept.

    Parameters
    ----------
    folder : Path
        Where they lie, such as ``embeddings.zarr``; it is made with the first one.
    max_bytes : int
        What they may occupy. Those that were not used for the longest time go first.

    Attributes
    ----------
    trouble : str
        Why embeddings are not kept, in a sentence for the user; empty when they are.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.warning = ""
        self._quota = Quota(folder, max_bytes)
        self._is_begun = False

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self._quota.nbytes

    @property
    def room(self) -> int:
        """Bytes that there may be, as far as the disk has them."""
        free = max(free_bytes(self.folder) - SPARE_BYTES, 0)
        return min(self._quota.max_bytes, self._quota.nbytes + free)

    def __contains__(self, signature: Signature) -> bool:
        return os.path.isdir(self._entry(signature))  # False where nobody may look

    def get(self, signature: Signature) -> Packed | None:
        """Read an embedding, or return None, and mark it as used; a damaged one is removed."""
        return self._used(signature, read_entry)

    def measure(self, signature: Signature) -> int | None:
        """Return the bytes of an embedding that is there as a whole, as `get` would, unread."""
        return self._used(signature, measure_entry)

    def frames_of(self, shape: tuple[int, ...], alike: Signature) -> list[int]:
        """Return the frames of stacks of this shape, (F, H, W, C), of which there are embeddings.

        Only those count that were made as ``alike`` was, whatever its pixels are.
        """
        found = set()
        for name in folders(self.folder):
            told = read_origin(self.folder / name)
            if told is None or told[1].shape != shape:
                continue
            if replace(told[0], pixels=alike.pixels) == alike:
                found.add(told[1].frame)
        return sorted(found)

    def put(self, signature: Signature, packed: Packed, origin: Origin | None = None) -> None:
        """Write an embedding, unless it is there or there is no room for it."""
        if signature in self or packed.nbytes > self._quota.max_bytes:
            return
        draft = self._quota.draft()
        try:
            self._write(draft, signature, packed, origin)
        except UNREADABLE as error:
            self._tell(error)
        else:
            self.warning = ""
        finally:
            discard(draft)

    def _used(self, signature: Signature, use: Callable[[Path, Signature], T]) -> T | None:
        if signature not in self:
            return None
        entry = self._entry(signature)
        try:
            found = use(entry, signature)
        except DamagedError as error:
            if _says_the_end(error.__cause__):
                return None
            logger.warning("An embedding in %s is made again: %s.", self.folder, error)
            self._remove(entry)
            return None
        mark_used(entry)
        return found

    def _write(
        self, draft: Path, signature: Signature, packed: Packed, origin: Origin | None
    ) -> None:
        if free_bytes(self.folder) < packed.nbytes + SPARE_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device")
        if not self._is_begun:
            shared_group(self.folder)
            self._quota.tidy()
            self._is_begun = True
        write_entry(draft, signature, packed, origin)
        self._quota.make(folder_bytes(draft))
        try:
            draft.rename(self._entry(signature))
        except OSError as error:
            if error.errno not in TAKEN or signature not in self:
                raise

    def _remove(self, entry: Path) -> None:
        try:
            self._quota.remove(entry)
        except OSError as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if _says_the_end(error):
            return
        is_full = isinstance(error, OSError) and error.errno in FULL
        what = "there is no room left" if is_full else f"it cannot be written ({error})"
        warning = (
            f"What the model has seen is not kept in {self.folder}: {what}. Free some space or "
            "choose another folder; until then images are embedded again when you come back."
        )
        if not self.warning:
            logger.warning("%s", warning)
        self.warning = warning

    def _entry(self, signature: Signature) -> Path:
        return self.folder / signature.name


def _says_the_end(error: BaseException | None) -> bool:
    """Whether something failed since Python ends, when threads get no more work: no fault of it."""
    return isinstance(error, RuntimeError) and NO_MORE_WORK in str(error)


@dataclass(frozen=True, slots=True, eq=False)
class CacheLocation:
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


class DiskCaches:
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

    def keeps(self, picture: ModelInput) -> bool:
        """Whether embeddings of a stack are kept on disk."""
        return self._store_of(picture) is not None

    def room(self, picture: ModelInput) -> int:
        """Return the bytes that the embeddings of a stack may occupy on disk; 0 if none may."""
        store = self._store_of(picture)
        return 0 if store is None else store.room

    def known_location(self, picture: ModelInput, revision: str) -> CacheLocation | None:
        """Return the place of an embedding whose picture was read before."""
        store = self._store_of(picture)
        digest = self._digests.get(picture.frames, {}).get((picture.frame, picture.window))
        if store is None or digest is None:
            return None
        return _place(store, picture, revision, digest)

    def place(
        self, picture: ModelInput, revision: str, pixels: NDArray[Any]
    ) -> CacheLocation | None:
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

    def remembered(self, picture: ModelInput, revision: str) -> list[int]:
        """Return the frames of a stack of which there may be embeddings, as far as not read."""
        store = self._store_of(picture)
        if store is None:
            return []
        read = {frame for frame, window in self._digests.get(picture.frames, {}) if window is None}
        alike = _signature(replace(picture, window=None), revision, "")
        return [one for one in store.frames_of(_shape(picture), alike) if one not in read]

    def _store_of(self, picture: ModelInput) -> EmbeddingStore | None:
        return self._chosen.get(picture.frames, self._otherwise)

    def _store(self, folder: Path) -> EmbeddingStore:
        known = self._stores.get(folder)
        if known is None:
            known = self._stores[folder] = EmbeddingStore(folder, self._max_bytes)
        return known


def _place(store: EmbeddingStore, picture: ModelInput, revision: str, digest: str) -> CacheLocation:
    origin = Origin(_shape(picture), picture.frame)
    return CacheLocation(store, _signature(picture, revision, digest), origin)


def _shape(picture: ModelInput) -> tuple[int, int, int, int]:
    frames = picture.frames
    return frames.count, *frames.shape, frames.channels


def _signature(picture: ModelInput, revision: str, digest: str) -> Signature:
    return Signature(revision, picture.contrast.token, window_text(picture.window), digest)

"""Embeddings on disk, for the next session or another process."""

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

from ...storage import DISK_FULL, SPARE_BYTES, UNREADABLE, free_bytes, shared_group
from ..backends.base import Packed
from ..images.frames import Frames, Window
from ..images.model_input import ModelInput
from .content_hash import ContentHash, Origin, pixels_digest, window_text
from .entries import DamagedError, measure_entry, read_entry, read_origin, write_entry
from .quota import Quota, folder_bytes, folder_names, mark_used, remove_folder

logger = logging.getLogger(__name__)

T = TypeVar("T")

ALREADY_THERE = (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES)
"""What an operating system reports when a folder is renamed to the name of another."""
NO_MORE_THREADS = "cannot schedule new futures"
"""What `concurrent.futures`, with which zarr reads and writes, reports while Python exits."""


class DiskCaches:
    """The disk cache of each stack, and the digests of the frames that this process has read.

    Whether an embedding belongs to a frame is decided by the frame's pixels. They are read once for
    that; as long as the stack is open, they are assumed not to change. Where a frame is read again,
    its digest is made anew.

    Parameters
    ----------
    max_bytes : int
        Quota of each folder.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._stores: dict[Path, EmbeddingStore] = {}
        self._store_of_frames: WeakKeyDictionary[Frames, EmbeddingStore] = WeakKeyDictionary()
        self._default_store: EmbeddingStore | None = None
        self._digests: WeakKeyDictionary[Frames, dict[tuple[int, Window | None], str]] = (
            WeakKeyDictionary()
        )

    @property
    def stores(self) -> list[EmbeddingStore]:
        """The stores of all folders."""
        return list(self._stores.values())

    def set_folder(self, frames: Frames, folder: Path) -> None:
        """Keep the embeddings of a stack in a folder."""
        self._store_of_frames[frames] = self._store(folder)

    def set_default_folder(self, folder: Path) -> None:
        """Keep the embeddings of all stacks without a folder of their own in this one."""
        self._default_store = self._store(folder)

    def has_folder(self, model_input: ModelInput) -> bool:
        """Whether the embeddings of a stack are kept on disk."""
        return self._store_for(model_input) is not None

    def quota(self, model_input: ModelInput) -> int:
        """Return the bytes that the embeddings of a stack may occupy on disk."""
        store = self._store_for(model_input)
        return 0 if store is None else store.quota

    def known_location(self, model_input: ModelInput, revision: str) -> CacheLocation | None:
        """Return where an embedding is cached whose pixels were read before; None otherwise."""
        store = self._store_for(model_input)
        digests = self._digests.get(model_input.frames, {})
        digest = digests.get((model_input.frame, model_input.window))
        if store is None or digest is None:
            return None
        return _location(store, model_input, revision, digest)

    def location(
        self, model_input: ModelInput, revision: str, pixels: NDArray[Any]
    ) -> CacheLocation | None:
        """Return where an embedding is cached; None if its stack has no folder.

        Parameters
        ----------
        model_input : ModelInput
            What is encoded.
        revision : str
            Of the model.
        pixels : (H, W, C) array
            What `ModelInput.read` returns.
        """
        store = self._store_for(model_input)
        if store is None:
            return None
        digest = pixels_digest(pixels)
        digests = self._digests.setdefault(model_input.frames, {})
        digests[model_input.frame, model_input.window] = digest
        return _location(store, model_input, revision, digest)

    def unread_frames(self, model_input: ModelInput, revision: str) -> list[int]:
        """Return the frames of a stack that may have embeddings on disk and were not read yet."""
        store = self._store_for(model_input)
        if store is None:
            return []
        digests = self._digests.get(model_input.frames, {})
        read = {frame for frame, window in digests if window is None}
        content_hash = _content_hash(replace(model_input, window=None), revision, "")
        stored = store.frames_of(_stack_shape(model_input), content_hash)
        return [frame for frame in stored if frame not in read]

    def _store_for(self, model_input: ModelInput) -> EmbeddingStore | None:
        return self._store_of_frames.get(model_input.frames, self._default_store)

    def _store(self, folder: Path) -> EmbeddingStore:
        store = self._stores.get(folder)
        if store is None:
            store = self._stores[folder] = EmbeddingStore(folder, self._max_bytes)
        return store


@dataclass(frozen=True, slots=True, eq=False)
class CacheLocation:
    """Where an embedding is cached on disk, whether it was written or not."""

    store: EmbeddingStore
    content_hash: ContentHash
    origin: Origin

    @property
    def is_written(self) -> bool:
        """Whether the embedding is there."""
        return self.content_hash in self.store

    def get(self) -> Packed | None:
        """Read the embedding; None if it is not there or damaged."""
        return self.store.get(self.content_hash)

    def measure(self) -> int | None:
        """Return the bytes of the embedding without reading it; None if it is not complete."""
        return self.store.measure(self.content_hash)

    def put(self, packed: Packed) -> None:
        """Write the embedding, if the quota allows it."""
        self.store.put(self.content_hash, packed, self.origin)


class EmbeddingStore:
    """A group of zarr with an entry for each embedding; processes may share it.

    An entry is written to a draft and renamed once, so it is there completely or not at all.
    Nothing that happens to the folder is an error: an embedding that cannot be read is encoded
    again, and one that cannot be written is not kept.

    Parameters
    ----------
    folder : Path
        Where the entries lie, such as ``embeddings.zarr``; it is made with the first one.
    max_bytes : int
        Quota; the least recently used entries go first.

    Attributes
    ----------
    warning : str
        Why embeddings are not kept, in a sentence for the user; empty when they are.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.warning = ""
        self._quota = Quota(folder, max_bytes)
        self._is_prepared = False

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self._quota.nbytes

    @property
    def quota(self) -> int:
        """Bytes that there may be, as far as the disk has them."""
        free = max(free_bytes(self.folder) - SPARE_BYTES, 0)
        return min(self._quota.max_bytes, self._quota.nbytes + free)

    def __contains__(self, content_hash: ContentHash) -> bool:
        return os.path.isdir(self._entry(content_hash))  # False where reading is not permitted

    def get(self, content_hash: ContentHash) -> Packed | None:
        """Read an embedding, or return None, and mark it as used; a damaged one is removed."""
        return self._used(content_hash, read_entry)

    def measure(self, content_hash: ContentHash) -> int | None:
        """Return the bytes of an embedding that is complete, as `get` would, without reading it."""
        return self._used(content_hash, measure_entry)

    def put(self, content_hash: ContentHash, packed: Packed, origin: Origin | None = None) -> None:
        """Write an embedding, unless it is there or exceeds the quota."""
        if content_hash in self or packed.nbytes > self._quota.max_bytes:
            return
        draft = self._quota.draft_folder()
        try:
            self._write(draft, content_hash, packed, origin)
        except UNREADABLE as error:
            self._warn(error)
        else:
            self.warning = ""
        finally:
            remove_folder(draft)

    def frames_of(self, shape: tuple[int, ...], content_hash: ContentHash) -> list[int]:
        """Return the frames of stacks of this shape, (F, H, W, C), that have embeddings.

        Only those count whose content hash is the same but for the pixels.
        """
        frames = set()
        for name in folder_names(self.folder):
            known = read_origin(self.folder / name)
            if known is None or known[1].shape != shape:
                continue
            if replace(known[0], pixels=content_hash.pixels) == content_hash:
                frames.add(known[1].frame)
        return sorted(frames)

    def _used(self, content_hash: ContentHash, use: Callable[[Path, ContentHash], T]) -> T | None:
        if content_hash not in self:
            return None
        entry = self._entry(content_hash)
        try:
            result = use(entry, content_hash)
        except DamagedError as error:
            if _is_python_exiting(error.__cause__):
                return None
            logger.warning("An embedding in %s is encoded again: %s.", self.folder, error)
            self._remove(entry)
            return None
        mark_used(entry)
        return result

    def _write(
        self, draft: Path, content_hash: ContentHash, packed: Packed, origin: Origin | None
    ) -> None:
        if free_bytes(self.folder) < packed.nbytes + SPARE_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device")
        if not self._is_prepared:
            shared_group(self.folder)
            self._quota.remove_abandoned_drafts()
            self._is_prepared = True
        write_entry(draft, content_hash, packed, origin)
        self._quota.free(folder_bytes(draft))
        try:
            draft.rename(self._entry(content_hash))
        except OSError as error:
            if error.errno not in ALREADY_THERE or content_hash not in self:
                raise

    def _remove(self, entry: Path) -> None:
        try:
            self._quota.remove(entry)
        except OSError as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if _is_python_exiting(error):
            return
        is_full = isinstance(error, OSError) and error.errno in DISK_FULL
        reason = "there is no room left" if is_full else f"it cannot be written ({error})"
        warning = (
            f"Embeddings are not kept in {self.folder}: {reason}. Free some space or choose "
            "another folder; until then images are encoded again when you come back."
        )
        if not self.warning:
            logger.warning("%s", warning)
        self.warning = warning

    def _entry(self, content_hash: ContentHash) -> Path:
        return self.folder / content_hash.name


def _location(
    store: EmbeddingStore, model_input: ModelInput, revision: str, digest: str
) -> CacheLocation:
    origin = Origin(_stack_shape(model_input), model_input.frame)
    return CacheLocation(store, _content_hash(model_input, revision, digest), origin)


def _content_hash(model_input: ModelInput, revision: str, digest: str) -> ContentHash:
    window = window_text(model_input.window)
    return ContentHash(revision, model_input.contrast.token, window, digest)


def _stack_shape(model_input: ModelInput) -> tuple[int, int, int, int]:
    """Return (F, H, W, C)."""
    frames = model_input.frames
    return frames.count, *frames.shape, frames.channels


def _is_python_exiting(error: BaseException | None) -> bool:
    """Whether an error only means that Python exits and threads get no more work."""
    return isinstance(error, RuntimeError) and NO_MORE_THREADS in str(error)

"""Embeddings in a folder, for the next session or another process."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..shared_group import shared_group
from ..weights.disk_room import SPARE_BYTES, free_bytes
from .entries import (
    UNREADABLE,
    DamagedError,
    measure_entry,
    read_entry,
    read_origin,
    write_entry,
)
from .packing import Packed
from .room import Room, discard, folder_bytes, folders, mark_used
from .signing import Origin, Signature

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
        self.trouble = ""
        self._room = Room(folder, max_bytes)
        self._is_begun = False

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self._room.nbytes

    @property
    def room(self) -> int:
        """Bytes that there may be, as far as the disk has them."""
        free = max(free_bytes(self.folder) - SPARE_BYTES, 0)
        return min(self._room.max_bytes, self._room.nbytes + free)

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
        if signature in self or packed.nbytes > self._room.max_bytes:
            return
        draft = self._room.draft()
        try:
            self._write(draft, signature, packed, origin)
        except UNREADABLE as error:
            self._tell(error)
        else:
            self.trouble = ""
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
            self._room.tidy()
            self._is_begun = True
        write_entry(draft, signature, packed, origin)
        self._room.make(folder_bytes(draft))
        try:
            draft.rename(self._entry(signature))
        except OSError as error:
            if error.errno not in TAKEN or signature not in self:
                raise

    def _remove(self, entry: Path) -> None:
        try:
            self._room.remove(entry)
        except OSError as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if _says_the_end(error):
            return
        is_full = isinstance(error, OSError) and error.errno in FULL
        what = "there is no room left" if is_full else f"it cannot be written ({error})"
        trouble = (
            f"What the model has seen is not kept in {self.folder}: {what}. Free some space or "
            "choose another folder; until then images are embedded again when you come back."
        )
        if not self.trouble:
            logger.warning("%s", trouble)
        self.trouble = trouble

    def _entry(self, signature: Signature) -> Path:
        return self.folder / signature.name


def _says_the_end(error: BaseException | None) -> bool:
    """Whether something failed since Python ends, when threads get no more work: no fault of it."""
    return isinstance(error, RuntimeError) and NO_MORE_WORK in str(error)

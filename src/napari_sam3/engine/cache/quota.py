"""The quota of a folder whose entries several processes share."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from pathlib import Path

logger = logging.getLogger(__name__)

DRAFT = ".draft-"
"""How the names of folders begin that are being written or removed."""
ABANDONED_S = 3600
"""A draft this old was left by a process that has ended."""


class Quota:
    """Keeps the entries of a folder within so many bytes.

    An entry is a folder that is never changed; its modification time is when it was last used.
    Another process may add and remove entries at any time.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._folder = folder
        self._sizes: dict[str, int] = {}  # entries do not change, so they are measured once

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return sum(self._measured().values())

    def draft_folder(self) -> Path:
        """Return the path of a new folder beside the entries, which is no entry."""
        return self._folder / f"{DRAFT}{os.getpid()}-{uuid.uuid4().hex}"

    def free(self, nbytes: int) -> None:
        """Remove the least recently used entries until so many bytes are free."""
        sizes = self._measured()
        missing = sum(sizes.values()) + nbytes - self.max_bytes
        if missing <= 0:
            return
        for name in sorted(sizes, key=self._last_used):
            self.remove(self._folder / name)
            missing -= sizes[name]
            if missing <= 0:
                return

    def remove(self, entry: Path) -> None:
        """Remove an entry at once for all readers, unless another process has."""
        draft = self.draft_folder()
        try:
            entry.rename(draft)
        except FileNotFoundError:
            return
        remove_folder(draft)

    def remove_abandoned_drafts(self) -> None:
        """Remove the drafts of processes that were ended while they wrote."""
        for draft in self._folder.glob(f"{DRAFT}*"):
            if time.time() - _modified(draft) > ABANDONED_S:
                remove_folder(draft)

    def _measured(self) -> dict[str, int]:
        self._sizes = {
            name: self._sizes.get(name) or folder_bytes(self._folder / name)
            for name in folder_names(self._folder)
            if not name.startswith(DRAFT)
        }
        return self._sizes

    def _last_used(self, name: str) -> float:
        return _modified(self._folder / name)


def mark_used(entry: Path) -> None:
    """Note in an entry that it was used now."""
    try:
        os.utime(entry)
    except OSError as error:  # removed meanwhile, or the folder is read-only
        logger.debug("%s cannot be marked as used: %s", entry, error)


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder, as far as they are still there."""
    return sum(_size(Path(parent, name)) for parent, _, names in os.walk(folder) for name in names)


def folder_names(folder: Path) -> list[str]:
    """Return the names of the folders in a folder; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []


def remove_folder(folder: Path) -> None:
    """Remove a folder, as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

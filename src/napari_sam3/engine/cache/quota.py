"""Room for entries in a folder that several processes share."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from json import JSONDecodeError
from pathlib import Path

import zarr
from zarr.errors import ContainsGroupError

logger = logging.getLogger(__name__)

DRAFT = ".draft-"
"""How the names of folders begin that are being written or removed."""
LEFT_BEHIND_S = 3600
"""A draft this old was left by a process that has ended."""


class Quota:
    """The entries of a folder, which together occupy no more than so many bytes.

    An entry is a folder that is never changed; the time of its last change is when it was last
    used. Another process may add and remove entries at any time.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._folder = folder
        self._sizes: dict[str, int] = {}  # entries do not change, so they are measured once

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return sum(self._measured().values())

    def draft(self) -> Path:
        """Name a new folder beside the entries, which nobody reads."""
        return self._folder / f"{DRAFT}{os.getpid()}-{uuid.uuid4().hex}"

    def make(self, wanted: int) -> None:
        """Remove the entries that were not used for the longest time, until there is room."""
        sizes = self._measured()
        missing = sum(sizes.values()) + wanted - self.max_bytes
        if missing <= 0:
            return
        for name in sorted(sizes, key=self._last_used):
            self.remove(self._folder / name)
            missing -= sizes[name]
            if missing <= 0:
                return

    def remove(self, entry: Path) -> None:
        """Remove an entry at once for all readers, unless another process has."""
        gone = self.draft()
        try:
            entry.rename(gone)
        except FileNotFoundError:
            return
        discard(gone)

    def tidy(self) -> None:
        """Remove what processes have left behind that were ended while they wrote."""
        for draft in self._folder.glob(f"{DRAFT}*"):
            if time.time() - _modified(draft) > LEFT_BEHIND_S:
                discard(draft)

    def _measured(self) -> dict[str, int]:
        self._sizes = {
            name: self._sizes.get(name) or folder_bytes(self._folder / name)
            for name in folders(self._folder)
            if not name.startswith(DRAFT)
        }
        return self._sizes

    def _last_used(self, name: str) -> float:
        return _modified(self._folder / name)


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder, as far as they are still there."""
    return sum(_size(Path(place, name)) for place, _, names in os.walk(folder) for name in names)


def discard(folder: Path) -> None:
    """Remove a folder, as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)


def mark_used(entry: Path) -> None:
    """Remember that an entry was used now."""
    try:
        os.utime(entry)
    except OSError as error:  # removed meanwhile, or nothing may be written here
        logger.debug("%s cannot be marked as used: %s", entry, error)


def folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, as far as it can be looked into."""
    try:
        with os.scandir(folder) as found:
            return [one.name for one in found if one.is_dir()]
    except OSError:
        return []


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


DESCRIPTION = "zarr.json"


def shared_group(folder: Path) -> zarr.Group:
    """Open a group, and make it if there is none.

    A description that a crash or a full disk has cut off is written anew: what lies in the group
    is found without it.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError, TypeError
        If something else lies there.
    """
    try:
        return zarr.open_group(folder, mode="a")
    except ContainsGroupError:  # another process has made it meanwhile
        return zarr.open_group(folder, mode="a")
    except (JSONDecodeError, UnicodeDecodeError):
        (folder / DESCRIPTION).unlink(missing_ok=True)
        return zarr.open_group(folder, mode="a")

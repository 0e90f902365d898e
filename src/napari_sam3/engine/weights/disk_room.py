"""Room on a disk, asked for before something large is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import StorageError

SPARE_BYTES = 2**28
"""What is to be left free."""


def free_bytes(folder: Path) -> int:
    """Return what is free on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def check_room(folder: Path, wanted: int, purpose: str) -> None:
    """See that a disk has room, with something to spare.

    Raises
    ------
    StorageError
        If it has not.
    """
    free = free_bytes(folder)
    if free < wanted + SPARE_BYTES:
        raise StorageError(
            f"{purpose} needs {_gigabytes(wanted + SPARE_BYTES)} GB on the disk of "
            f"{_existing(folder)}, and {_gigabytes(free)} GB are free: make room there."
        )


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if os.path.isdir(place))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f}"

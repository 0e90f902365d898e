"""What is said when a disk takes no more."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..values import StorageError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def storing_in(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(_sentence(folder, error)) from error


def _sentence(folder: Path, error: OSError) -> str:
    remedy = "start napari with NAPARI_SAM3_CACHE set to another folder; what is done is kept."
    if error.errno in _DISK_FULL:
        return f"No room left on disk in {folder}: free some space, or {remedy}"
    return f"Labels cannot be written to {folder} ({error.strerror or error}): {remedy}"


SPARE_BYTES = 2**28
"""What is to be left free."""


def free_bytes(folder: Path) -> int:
    """Return what is free on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def check_free_space(folder: Path, wanted: int, purpose: str) -> None:
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

"""What is said when a disk takes no more."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..engine import StorageError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def storing_in(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(_sentence(folder, error)) from error


def _sentence(folder: Path, error: OSError) -> str:
    remedy = "start napari with NAPARI_SAM3_CACHE set to another folder; what is done is kept."
    if error.errno in _NO_ROOM:
        return f"No room left on disk in {folder}: free some space, or {remedy}"
    return f"Labels cannot be written to {folder} ({error.strerror or error}): {remedy}"

"""Files and folders that appear whole or not at all, and what is told when a disk takes no more."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path

import zarr
from zarr.errors import ContainsGroupError

from ..values import StorageError

SPARE_BYTES = 2**28
"""What is to be left free."""
DRAFT = ".partial-"
"""How the names of files and folders begin that are being written."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors of a disk that takes no more."""
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)
"""What zarr raises when a file is missing, cut off or changed."""
UNWRITABLE = (OSError, ValueError)
"""What libraries raise when a file cannot be written."""
CHOOSE_FOLDER = "choose another folder; what is done is kept."
CHOOSE_CACHE = "start napari with NAPARI_SAM3_CACHE set to another folder; what is done is kept."

_GROUP_METADATA = "zarr.json"


@contextmanager
def storing_in(
    path: Path, remedy: str = CHOOSE_FOLDER, errors: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[None]:
    """Turn what the disk refuses into a `StorageError` that says what to do.

    Parameters
    ----------
    path : Path
        The file or folder that is written or read.
    remedy : str
        What the sentence ends with.
    errors : tuple of exception classes
        What is turned into a sentence; `UNREADABLE` where damaged files are read.
    """
    try:
        yield
    except StorageError:
        raise
    except errors as error:
        raise StorageError(_sentence(path, error, remedy)) from error


def _sentence(path: Path, error: Exception, remedy: str) -> str:
    if not isinstance(error, OSError):
        return f"{path} is damaged, or holds something else ({error}): {remedy}"
    if error.errno in DISK_FULL:
        return f"No room left on disk in {path}: free some space, or {remedy}"
    return f"{path} cannot be read or written ({error.strerror or error}): {remedy}"


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, which replaces an earlier one when all of it is on disk."""
    with written_whole(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield where to write a file or a folder; at the end it replaces the one at a path.

    After an error nothing is left of it, and the one at the path stays. Several threads and
    processes may write the same path.
    """
    draft = _draft_of(path)
    try:
        yield draft
        _replace(draft, path)
    finally:
        remove(draft)


@contextmanager
def new_folder(path: Path, drafts: Path | None = None) -> Iterator[Path]:
    """Yield where to write a folder, which appears at a path when it is complete.

    Parameters
    ----------
    path : Path
        Where the folder appears.
    drafts : Path, optional
        Where it is written, on the same disk; beside the path when left out.

    Raises
    ------
    FileExistsError
        If another process made it meanwhile.
    """
    draft = _draft_of(path, drafts)
    try:
        yield draft
        _rename_to_new(draft, path)
    finally:
        remove(draft)


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as it is there and that is possible."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _draft_of(path: Path, drafts: Path | None = None) -> Path:
    """Name a draft that no other process has; the suffix tells its format."""
    return (drafts or path.parent) / f"{DRAFT}{uuid.uuid4().hex}-{path.name}"


def _replace(draft: Path, path: Path) -> None:
    if not path.is_dir():
        draft.replace(path)
        return
    earlier = _draft_of(path)
    path.rename(earlier)
    try:
        draft.rename(path)
    except OSError:
        earlier.rename(path)
        raise
    remove(earlier)


def _rename_to_new(draft: Path, path: Path) -> None:
    try:
        draft.rename(path)
    except OSError as error:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise


def shared_group(folder: Path) -> zarr.Group:
    """Open a zarr group that several processes share, and make it if there is none.

    A description that a crash or a full disk has cut off is written anew: what lies in the group
    does not depend on it.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError, TypeError
        If it is something else.
    """
    try:
        return zarr.open_group(folder, mode="a")
    except ContainsGroupError:  # another process has made it meanwhile
        return zarr.open_group(folder, mode="a")
    except (JSONDecodeError, UnicodeDecodeError):
        (folder / _GROUP_METADATA).unlink(missing_ok=True)
        return zarr.open_group(folder, mode="a")


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
    return next(parent for parent in (folder, *folder.absolute().parents) if os.path.isdir(parent))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f}"

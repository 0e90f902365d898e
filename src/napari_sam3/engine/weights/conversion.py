"""Published files of weights, converted into folders that can be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

from ...values import WeightsError
from .checkpoints import recognise


def suggested_folder(path: str | Path) -> Path:
    """Return where the converted weights of a file go, unless another folder is given."""
    file = Path(path).expanduser()
    return file.with_name(f"{file.stem}-converted")


def converted(
    path: str | Path,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Convert SAM 3 or SAM 1, as published in a .pt file, and return the folder.

    Parameters
    ----------
    path : path
        ``sam3.pt``, or a file of SAM 1 or micro-sam.
    folder : path, optional
        Where to write; beside the file when left out. Nothing is left there if it fails.
    progress : callable
        Called with the bytes that are written and the bytes there are. What it raises ends the
        conversion.

    Raises
    ------
    WeightsError
        If the file is not one of these, or not whole.
    StorageError
        If the folder cannot be written.
    """
    checkpoint = recognise(path)
    kind = checkpoint.kind
    if not kind.is_convertible:
        raise WeightsError(f"{checkpoint.path} needs no conversion: it is {kind.title}.")
    target = suggested_folder(checkpoint.path) if folder is None else Path(folder).expanduser()
    convert = resolve_name(kind.converter)  # imports torch and transformers, which takes seconds
    written: Path = convert(checkpoint.path, target, progress)
    return written

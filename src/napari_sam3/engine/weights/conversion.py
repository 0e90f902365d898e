"""Published files of weights, made into folders that can be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...values import WeightsError
from .checkpoints import recognise


def suggested_folder(path: str | Path) -> Path:
    """Return where the converted weights of a file go, unless somebody wants them elsewhere."""
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
        Told the bytes done and the bytes there are. What it raises ends the conversion.

    Raises
    ------
    WeightsError
        If the file is not one of these, or not whole.
    StorageError
        If the folder cannot be written.
    """
    checkpoint = recognise(path)
    into = suggested_folder(checkpoint.path) if folder is None else Path(folder).expanduser()
    match checkpoint.kind:
        case "sam3-original":
            from .conversion_sam3 import convert_sam3  # transformers takes seconds to import

            return convert_sam3(checkpoint.path, into, progress)
        case "micro-sam":
            from .conversion_sam1 import convert_microsam

            return convert_microsam(checkpoint.path, into, progress)
    raise WeightsError(f"{checkpoint.path} needs no conversion: it is {checkpoint.facts.title}.")

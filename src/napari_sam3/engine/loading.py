"""From the name or the files of a model to the model, loaded on a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import psutil

from ..values import WeightsError
from .backends.base import Backend
from .weights.catalog import (
    EMBEDDED,
    OPEN_CLIP_FILES,
    TRANSFORMERS_FILES,
    Recommendation,
    kind_in_package,
    known_clip,
    known_model,
    recommended,
)
from .weights.checkpoints import Checkpoint, recognise
from .weights.local_models import local_path


def load_backend(model: str | Path = EMBEDDED.id, device: str = "auto") -> Backend:
    """Load a model.

    Parameters
    ----------
    model : str or Path
        "embedded", the name of a model on the Hugging Face hub that was downloaded before, or a
        folder or a file of weights.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Raises
    ------
    ModelError
        If the model is not on this computer, or there is no such device.
    WeightsError
        If its weights cannot be used.
    """
    packaged = kind_in_package(model)
    if packaged is not None:
        return _load(packaged.loader, None, device)
    backend = _load_checkpoint(recognise(local_path(model)), device)
    if known_model(str(model)) is not None:
        backend.name = str(model)  # the hub's cache names folders by revisions
    return backend


def _load_checkpoint(checkpoint: Checkpoint, device: str) -> Backend:
    kind, path = checkpoint.kind, checkpoint.path
    if kind.loader:
        return _load(kind.loader, path, device)
    if not kind.is_convertible:
        raise WeightsError(f"{path} {kind.why_not_loaded}")
    folder = suggested_folder(path)
    if folder.is_dir():
        return _load_checkpoint(recognise(folder), device)
    raise WeightsError(
        f"{path} is {kind.title}: convert it first, in the Model panel or with "
        "napari_sam3.engine.converted(path)."
    )


def _load(loader: str, path: Path | None, device: str) -> Backend:
    """Load weights with a class that is imported only now: torch and transformers take seconds."""
    backend: Backend = resolve_name(loader).load(path, device)
    return backend


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


def recommended_here() -> Recommendation:
    """Choose a model for this computer."""
    import torch  # takes seconds

    from .devices import available_devices

    fastest = available_devices()[0]
    gpu_bytes = torch.cuda.get_device_properties(0).total_memory if fastest == "cuda" else 0
    return recommended(fastest, psutil.virtual_memory().total, gpu_bytes)


def downloaded(
    name: str, progress: Callable[[int, int], None], is_cancelled: Callable[[], bool]
) -> Path:
    """Download a model of the hub, or a text model, and return its folder.

    See `napari_sam3.engine.weights.downloads.download`.
    """
    from .weights.downloads import download  # takes a while to import

    files = TRANSFORMERS_FILES if known_clip(name) is None else OPEN_CLIP_FILES
    return download(name, progress, is_cancelled, files)

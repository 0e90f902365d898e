"""From the name of a model to the model, loaded on a device."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psutil

from ..values import ModelError, WeightsError
from .backends.base import Backend
from .weights.catalog import Recommendation, known_model, recommended
from .weights.checkpoints import CONFIG, NO_SAM_3_1, WEIGHTS, Checkpoint, recognise
from .weights.conversion import suggested_folder

EMBEDDED = "embedded"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
NEEDED = (CONFIG, WEIGHTS)
TOKENIZERS = ("tokenizer.json", "vocab.json")


def load_backend(model: str | Path = EMBEDDED, device: str = "auto") -> Backend:
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
    if model == EMBEDDED:
        return _embedded(None, device)
    backend = _loaded(recognise(local_path(model)), device)
    if known_model(str(model)) is not None:
        backend.name = str(model)  # the hub's cache names folders by revisions
    return backend


def local_path(model: str | Path) -> Path:
    """Return the folder or the file that a name stands for; nothing is downloaded.

    Raises
    ------
    ModelError
        If there is none on this computer.
    """
    path = Path(model).expanduser()
    if path.exists():
        return path
    if isinstance(model, Path) or not HUB_NAME.fullmatch(model):
        raise ModelError(
            f'There is no model {model}: choose "{EMBEDDED}", a name such as facebook/sam3, or a '
            "folder or file of weights that exists."
        )
    found = cached_folder(model)
    if found is None:
        raise ModelError(_not_here(model))
    return found


def cached_folder(name: str) -> Path | None:
    """Return where the hub's own cache keeps a model, if all that it needs is there."""
    from huggingface_hub import try_to_load_from_cache  # takes a while to import
    from huggingface_hub.errors import HFValidationError

    try:
        files = [try_to_load_from_cache(name, needed) for needed in NEEDED]
    except HFValidationError:
        return None
    if not all(isinstance(file, str) for file in files):
        return None
    return Path(str(files[-1])).parent


def is_here(model: str) -> bool:
    """Whether a model can be loaded without a download."""
    return model == EMBEDDED or Path(model).exists() or cached_folder(model) is not None


def hub_folder() -> Path:
    """Return where the hub keeps what is downloaded; it need not exist yet."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def recommended_here() -> Recommendation:
    """Choose a model for this computer."""
    import torch  # takes seconds

    from .devices import available_devices

    fastest = available_devices()[0]
    of_gpu = torch.cuda.get_device_properties(0).total_memory if fastest == "cuda" else 0
    return recommended(fastest, psutil.virtual_memory().total, of_gpu)


def downloaded(
    name: str, progress: Callable[[int, int], None], is_cancelled: Callable[[], bool]
) -> Path:
    """Download a model of the hub, and return its folder; see `downloads.download`."""
    from .weights.downloads import download  # takes a while to import

    return download(name, progress, is_cancelled)


def downloaded_clip(
    name: str, progress: Callable[[int, int], None], is_cancelled: Callable[[], bool]
) -> Path:
    """Download a text model of the hub, and return its folder; see `downloads.download`."""
    from .weights.downloads import (
        TEXT_MODEL,
        download,  # takes a while to import
    )

    return download(name, progress, is_cancelled, TEXT_MODEL)


def _not_here(name: str) -> str:
    known = known_model(name)
    approval = " after its makers have approved you," if known and known.is_gated else ""
    return (
        f"{name} is not on this computer: download it in the Model panel,{approval} or get its "
        f"folder from https://huggingface.co/{name} and choose that."
    )


def _loaded(checkpoint: Checkpoint, device: str) -> Backend:
    path = checkpoint.path
    match checkpoint.kind:
        case "embedded":
            return _embedded(path, device)
        case "sam3":
            return _sam3(path, device)
        case "sam2" | "edgetam":
            from .backends.sam.sam2 import (
                Sam2Backend,  # torch and transformers take seconds to import
            )

            return Sam2Backend.load(path, device)
        case "sam1":
            from .backends.sam.sam1 import Sam1Backend

            return Sam1Backend.load(path, device)
        case "sam3-original" | "micro-sam":
            return _converted_before(checkpoint, device)
        case "sam3.1":
            raise WeightsError(f"{path} {NO_SAM_3_1}")
        case "clip":
            raise WeightsError(
                f"{path} holds a model that reads texts and outlines nothing: choose it as the "
                "text model, and another to outline."
            )


def _embedded(path: Path | None, device: str) -> Backend:
    from .backends.embedded.model import EmbeddedBackend

    return EmbeddedBackend.load(path, device)


def _sam3(folder: Path, device: str) -> Backend:
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise WeightsError(
            f"{folder} lacks a tokenizer: copy tokenizer.json and tokenizer_config.json of "
            "facebook/sam3 into it."
        )
    from .backends.sam.sam3 import Sam3Backend

    return Sam3Backend.load(folder, device)


def _converted_before(checkpoint: Checkpoint, device: str) -> Backend:
    folder = suggested_folder(checkpoint.path)
    if folder.is_dir():
        return _loaded(recognise(folder), device)
    raise WeightsError(
        f"{checkpoint.path} is {checkpoint.facts.title}: convert it first, in the Model panel or "
        "with napari_sam3.engine.converted(path)."
    )

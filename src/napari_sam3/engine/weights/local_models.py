"""Where the models that are on this computer lie; nothing is downloaded."""

from __future__ import annotations

import re
from pathlib import Path

from ...values import ModelError
from .catalog import (
    BIOMED_CLIP,
    EMBEDDED,
    OPEN_CLIP_FILES,
    SAM3,
    TRANSFORMERS_FILES,
    ModelFiles,
    kind_in_package,
    known_clip,
    known_model,
)

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def local_path(model: str | Path) -> Path:
    """Return the folder or the file of a model.

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
            f'There is no model {model}: choose "{EMBEDDED.id}", a name such as {SAM3.id}, or a '
            "folder or file of weights that exists."
        )
    folder = cached_folder(model)
    if folder is None:
        raise ModelError(_not_here(model))
    return folder


def local_clip_path(model: str | Path) -> Path:
    """Return the folder of a text model.

    Raises
    ------
    ModelError
        If it is not on this computer.
    """
    path = Path(model).expanduser()
    if (path / OPEN_CLIP_FILES.config).is_file():
        return path
    if path.exists():
        raise ModelError(
            f"{path} holds no text model: choose a folder that has an {OPEN_CLIP_FILES.config}, "
            f"such as that of {BIOMED_CLIP.title}."
        )
    folder = None if isinstance(model, Path) else cached_folder(model, OPEN_CLIP_FILES)
    if folder is not None:
        return folder
    known = known_clip(str(model))
    if known is not None:
        raise ModelError(
            f"{known.title} is not on this computer: download it in the Model panel, or get its "
            f"folder from {known.page} and choose that."
        )
    raise ModelError(
        f"There is no text model {model}: choose a folder that has an {OPEN_CLIP_FILES.config}, or "
        f"a name such as {BIOMED_CLIP.id}."
    )


def is_here(model: str) -> bool:
    """Whether a model can be loaded without a download."""
    is_packaged = kind_in_package(model) is not None
    return is_packaged or Path(model).exists() or cached_folder(model) is not None


def is_clip_here(model: str) -> bool:
    """Whether a text model can be loaded without a download."""
    is_folder = (Path(model) / OPEN_CLIP_FILES.config).is_file()
    return is_folder or cached_folder(model, OPEN_CLIP_FILES) is not None


def hub_folder() -> Path:
    """Return where the hub keeps what is downloaded; it need not exist yet."""
    from huggingface_hub import constants  # takes a while to import

    return Path(constants.HF_HUB_CACHE)


def cached_folder(name: str, files: ModelFiles = TRANSFORMERS_FILES) -> Path | None:
    """Return where the hub's own cache keeps a model, if all that it needs is there."""
    from huggingface_hub import try_to_load_from_cache  # takes a while to import
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, files.config)
        weights = [try_to_load_from_cache(name, file) for file in files.weights]
    except HFValidationError:
        return None
    if not isinstance(config, str) or not any(isinstance(file, str) for file in weights):
        return None
    return Path(config).parent


def _not_here(name: str) -> str:
    known = known_model(name)
    approval = " after its makers have approved you," if known and known.is_gated else ""
    return (
        f"{name} is not on this computer: download it in the Model panel,{approval} or get its "
        f"folder from https://huggingface.co/{name} and choose that."
    )

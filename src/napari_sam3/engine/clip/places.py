"""Where a text model is on this computer; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelError
from .catalog import known_clip
from .folder import CLIP_CONFIG, CLIP_WEIGHTS


def clip_place(place: str | Path) -> Path:
    """Return the folder that a place or a name on the hub stands for.

    Raises
    ------
    ModelError
        If it is not on this computer.
    """
    path = Path(place).expanduser()
    if (path / CLIP_CONFIG).is_file():
        return path
    if path.exists():
        raise ModelError(
            f"{path} holds no text model: choose a folder that has an {CLIP_CONFIG}, such as that "
            "of BiomedCLIP."
        )
    found = None if isinstance(place, Path) else _cached(place)
    if found is not None:
        return found
    known = known_clip(str(place))
    if known is not None:
        raise ModelError(
            f"{known.title} is not on this computer: download it in the Model panel, or get its "
            f"folder from {known.page} and choose that."
        )
    raise ModelError(
        f"There is no text model {place}: choose a folder that has an {CLIP_CONFIG}, or a name "
        "such as microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224."
    )


def is_clip_here(name: str) -> bool:
    """Whether a text model can be loaded without a download."""
    return (Path(name) / CLIP_CONFIG).is_file() or _cached(name) is not None


def _cached(name: str) -> Path | None:
    """Return where the hub's own cache keeps a text model, if all that it needs is there."""
    from huggingface_hub import try_to_load_from_cache  # takes a while to import
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, CLIP_CONFIG)
        weights = [try_to_load_from_cache(name, file) for file in CLIP_WEIGHTS]
    except HFValidationError:
        return None
    if not isinstance(config, str) or not any(isinstance(file, str) for file in weights):
        return None
    return Path(config).parent

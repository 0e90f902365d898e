"""The published models, and which of them suits a computer."""

from __future__ import annotations

from dataclasses import dataclass

from ..backends.registry import (
    CLIP_KIND,
    EDGETAM,
    EMBEDDED,
    GIGABYTE,
    KINDS,
    SAM2_BASE,
    SAM2_TINY,
    SAM3,
    CatalogModel,
)

CATALOG: tuple[CatalogModel, ...] = tuple(
    model for kind in KINDS if kind.loader for model in kind.models
)
"""The models that segment."""
CLIPS: tuple[CatalogModel, ...] = CLIP_KIND.models
"""The text models, which rank what another model has found."""
LONG_SECONDS = 3
"""A wait of so many seconds is announced."""


def known_model(name: str) -> CatalogModel | None:
    """Return the model of this id, if it is in the catalogue."""
    return next((model for model in CATALOG if model.id == name), None)


def known_clip(name: str) -> CatalogModel | None:
    """Return the text model of this id, if it is in the catalogue."""
    return next((model for model in CLIPS if model.id == name), None)


def wait_hint(name: str, device: str) -> str:
    """Tell how long encoding one image takes where that is long, or nothing."""
    model = known_model(name)
    if model is None or device != "cpu" or model.cpu_seconds is None:
        return ""
    if model.cpu_seconds < LONG_SECONDS:
        return ""
    return (
        f"Encoding one image takes about {model.cpu_seconds:.0f} s with this model on this "
        "computer."
    )


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model that suits a computer, and a sentence that tells why."""

    model: CatalogModel
    why: str


def recommended(device: str, memory_bytes: int, gpu_bytes: int = 0) -> Recommendation:
    """Choose a model for a computer.

    Parameters
    ----------
    device : str
        The fastest there is: "cpu", "cuda" or "mps".
    memory_bytes : int
        The memory of the computer.
    gpu_bytes : int
        The memory of its CUDA device, 0 where there is none.
    """
    if device == "cuda":
        return _recommended_for_cuda(gpu_bytes)
    if device == "mps" and memory_bytes >= 8 * GIGABYTE:
        return Recommendation(
            SAM2_TINY,
            f"Your Apple GPU suits {SAM2_TINY.title}; {SAM3.title} has not been tried on one.",
        )
    if memory_bytes < 2 * EDGETAM.memory_bytes:
        return Recommendation(
            EMBEDDED,
            f"With {_gigabytes(memory_bytes)} GB of memory the {EMBEDDED.title.lower()} is best.",
        )
    return Recommendation(
        EDGETAM,
        f"Without a GPU the {EMBEDDED.title.lower()} answers at once and {EDGETAM.title} in about "
        f"{EDGETAM.cpu_seconds} s an image; {SAM3.title} takes {SAM3.cpu_seconds} s.",
    )


def _recommended_for_cuda(gpu_bytes: int) -> Recommendation:
    if gpu_bytes >= SAM3.gpu_bytes:
        return Recommendation(
            SAM3,
            f"Your GPU has {_gigabytes(gpu_bytes)} GB: enough for {SAM3.title}, which encodes an "
            "image in less than a second and understands words.",
        )
    return Recommendation(
        SAM2_BASE,
        f"Your GPU has {_gigabytes(gpu_bytes)} GB, too little for {SAM3.title}: "
        f"{SAM2_BASE.title} fits.",
    )


def _gigabytes(count: int) -> str:
    return f"{count / GIGABYTE:.0f}"

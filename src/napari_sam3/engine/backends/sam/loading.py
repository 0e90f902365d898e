"""Reading the weights of the SAM family from folders."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel

from ....values import DAMAGED, WeightsError

LOG = logging.getLogger(__name__)

Model = TypeVar("Model", bound=PreTrainedModel)

ADVICE = "download it again, or choose another in the Model panel."
UNUSABLE = (*DAMAGED, SafetensorError, StrictDataclassError)
"""What transformers raises for files that are damaged, or describe something else."""
SAMPLED_VALUES = 16
"""So many values of each tensor are checked: all are gigabytes that are read when needed."""


def load_model(model_class: type[Model], folder: Path) -> Model:
    """Read a model from its folder, without connecting to any server.

    Raises
    ------
    WeightsError
        If the folder cannot be read, lacks weights, or holds some that are no numbers.
    """
    try:
        loaded: Any = model_class.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except UNUSABLE as error:
        raise WeightsError(f"The model in {folder} cannot be read: {ADVICE}") from error
    model, report = loaded
    surplus = _listed(report["unexpected_keys"])
    if report["missing_keys"]:
        instead = f", and holds {surplus} instead" if surplus else ""
        missing = _listed(report["missing_keys"])
        raise WeightsError(f"The model in {folder} lacks {missing}{instead}: {ADVICE}")
    _check_finite(model, folder)
    if surplus:
        LOG.warning("The model in %s also holds %s, which nothing uses.", folder, surplus)
    frozen: Model = model.eval().requires_grad_(False)
    return frozen


def _check_finite(model: nn.Module, folder: Path) -> None:
    """Refuse weights that training has spoiled."""
    spoiled = [name for name, values in _sampled_values(model) if not values.isfinite().all()]
    if spoiled:
        raise WeightsError(
            f"The model in {folder} holds values that are no numbers in {_listed(spoiled)}: "
            f"{ADVICE}"
        )


def _sampled_values(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the first values of each parameter."""
    for name, weights in model.named_parameters():
        yield name, weights.detach().flatten()[:SAMPLED_VALUES]


def _listed(names: Collection[str]) -> str:
    """Name the first of some weights, and count the rest."""
    if not names:
        return ""
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} other weights" if rest else first


def digest(model: nn.Module) -> str:
    """Return a content hash of the first values of each parameter."""
    values = torch.cat([values for _, values in _sampled_values(model)])
    return hashlib.sha256(values.cpu().numpy().tobytes()).hexdigest()[:12]


def model_name(folder: Path) -> str:
    """Return the name that a model has on the hub, where it lies in its cache, or of its folder."""
    for part in folder.parts:
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/", 1)
    return folder.name

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
FIRST = 16
"""So many numbers of each weight are looked at: all are gigabytes that are read when needed."""


def load_model(kind: type[Model], folder: Path) -> Model:
    """Read a model from its folder, without asking any server.

    Raises
    ------
    WeightsError
        If the folder cannot be read, lacks weights, or holds some that are no numbers.
    """
    try:
        loaded: Any = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except UNUSABLE as error:
        raise WeightsError(f"The model in {folder} cannot be read: {ADVICE}") from error
    model, found = loaded
    surplus = _listed(found["unexpected_keys"])
    if found["missing_keys"]:
        instead = f", and holds {surplus} instead" if surplus else ""
        lacking = _listed(found["missing_keys"])
        raise WeightsError(f"The model in {folder} lacks {lacking}{instead}: {ADVICE}")
    _check_numbers(model, folder)
    if surplus:
        LOG.warning("The model in %s also holds %s, which nothing uses.", folder, surplus)
    frozen: Model = model.eval().requires_grad_(False)
    return frozen


def _check_numbers(model: nn.Module, folder: Path) -> None:
    """Refuse weights that training has spoiled."""
    spoiled = [name for name, first in _firsts(model) if not first.isfinite().all()]
    if spoiled:
        raise WeightsError(
            f"The model in {folder} holds values that are no numbers in {_listed(spoiled)}: "
            f"{ADVICE}"
        )


def _firsts(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the first numbers of each weight."""
    for name, weights in model.named_parameters():
        yield name, weights.detach().flatten()[:FIRST]


def _listed(names: Collection[str]) -> str:
    """Name the first weights of some, and count the others."""
    if not names:
        return ""
    first, *others = sorted(names)
    return f"{first} and {len(others)} other weights" if others else first


def digest(model: nn.Module) -> str:
    """Name weights by the first numbers of each of them."""
    firsts = torch.cat([first for _, first in _firsts(model)])
    return hashlib.sha256(firsts.cpu().numpy().tobytes()).hexdigest()[:12]


def model_name(folder: Path) -> str:
    """Return the name that a model has on the hub, where it lies in its cache, or of its folder."""
    for part in folder.parts:
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/", 1)
    return folder.name

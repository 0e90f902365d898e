"""From the name of a model to trials of it, and of the stock classes around the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import (
    CLIPTokenizer,
    EdgeTamVideoModel,
    PreTrainedModel,
    Sam2VideoModel,
    Sam3VideoModel,
)

from ..backend import Backend
from ..devices import checked_device
from ..errors import ModelError
from ..loading import EMBEDDED, load_backend, local_place
from ..weights.checkpoints import recognise
from .full_size import letter_tokenizer, random_model
from .loading import load_model, model_name
from .precision import Precision, checked_precision
from .sam2 import Sam2Backend
from .sam3 import Sam3Backend
from .sam3_model import Sam3
from .stock import StockTrial
from .stock_models import stock_models
from .texts import Texts

KINDS: dict[str, type[PreTrainedModel]] = {
    "sam3": Sam3VideoModel,
    "sam2": Sam2VideoModel,
    "edgetam": EdgeTamVideoModel,
}
"""What transformers has for each kind of checkpoint."""


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A model of transformers, and the engine's own one around the same weights."""

    model: Any
    tokenizer: CLIPTokenizer | None
    backend: Backend
    precision: Precision

    def stock_trial(self, image: NDArray[np.float32]) -> StockTrial:
        """Try the stock classes on an image, (H, W, 3); the own model is not asked any more."""
        models = stock_models(self.model, self.tokenizer)
        return StockTrial(models, image, self.backend.device, self.precision)


def alone(name: str, device: str) -> Backend:
    """Load a model as the engine does, to compare it with nothing."""
    return load_backend(name, device)


def with_random_weights(name: str, device: str) -> Shared:
    """Build a model of full size.

    Raises
    ------
    ModelError
        If it is not known how large it is, or there is no such device.
    """
    chosen = checked_device(device)
    return _shared(random_model(name), letter_tokenizer(), f"{name} (random weights)", chosen)


def with_its_weights(name: str, device: str) -> Shared:
    """Load a model that is on this computer.

    Raises
    ------
    ModelError
        If it is not, if there is no such device, or transformers has nothing to compare it with.
    WeightsError
        If its weights cannot be used.
    """
    chosen = checked_device(device)
    checkpoint = None if name == EMBEDDED else recognise(local_place(name))
    kind = KINDS.get(checkpoint.kind) if checkpoint else None
    if checkpoint is None or kind is None:
        raise ModelError(f"There is nothing to compare {name} with: leave out --stock.")
    folder = checkpoint.path
    is_reading = checkpoint.kind == "sam3"
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True) if is_reading else None
    return _shared(load_model(kind, folder), tokenizer, model_name(folder), chosen)


def _shared(model: Any, tokenizer: CLIPTokenizer | None, name: str, device: str) -> Shared:
    precision = checked_precision(device)
    backend: Backend
    if isinstance(model, Sam3VideoModel) and tokenizer is not None:
        sam3 = Sam3(model, device, precision)
        backend = Sam3Backend(sam3, Texts(sam3, tokenizer), name)
    else:
        backend = Sam2Backend(model, name, device, precision)
    return Shared(model, tokenizer, backend, precision)

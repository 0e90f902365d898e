"""The dtypes in which a model of the SAM family computes and keeps its embeddings."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ....values import ModelError
from ...devices import Precision, compute_dtype

FLOAT16_MAX = torch.finfo(torch.float16).max


def checked_precision(device: str, requested: Precision | None = None) -> Precision:
    """Return the precision to compute with: by default bfloat16 where it is faster.

    Raises
    ------
    ModelError
        If the device has no bfloat16.
    """
    if requested == "bfloat16" and torch.device(device).type not in ("cpu", "cuda"):
        raise ModelError(f'The device "{device}" does not calculate in bfloat16: choose float32.')
    return requested or ("bfloat16" if _is_built_for_bfloat16(torch.device(device)) else "float32")


def _is_built_for_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and compute_dtype(device) == "bfloat16"


def autocast(device: str, precision: Precision) -> AbstractContextManager[Any]:
    """Compute in bfloat16 meanwhile, where the result allows it, if that is the precision."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)


def split_batch(values: Tensor) -> list[Tensor]:
    """Copy what was computed for a batch of images, (B, ...), to tensors of their own, (1, ...)."""
    return [values] if len(values) == 1 else [image.clone() for image in values.split(1)]


def to_float16(values: Tensor) -> Tensor:
    """Convert values to float16, clamped to its range."""
    return values.clamp(-FLOAT16_MAX, FLOAT16_MAX).to(torch.float16)


def to_16_bits(values: Tensor, precision: Precision) -> Tensor:
    """Convert values to the dtype in which embeddings of this precision are kept."""
    return values.to(torch.bfloat16) if precision == "bfloat16" else to_float16(values)

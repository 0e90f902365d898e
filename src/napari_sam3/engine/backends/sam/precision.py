"""The numbers in which a model calculates."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from ....values import ModelError
from ...devices import compute_dtype

Precision = Literal["float32", "bfloat16"]

LARGEST = torch.finfo(torch.float16).max
"""The largest number that an embedding keeps."""


def checked_precision(device: str, asked: Precision | None = None) -> Precision:
    """Return the precision to calculate with: short numbers by default where they are faster.

    Raises
    ------
    ModelError
        If the device does not know short numbers.
    """
    if asked == "bfloat16" and torch.device(device).type not in ("cpu", "cuda"):
        raise ModelError(f'The device "{device}" does not calculate in bfloat16: choose float32.')
    return asked or ("bfloat16" if _is_built_for_short(torch.device(device)) else "float32")


def _is_built_for_short(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and compute_dtype(device) == "bfloat16"


def calculating(device: str, precision: Precision) -> AbstractContextManager[Any]:
    """Calculate with a precision meanwhile, where the result allows it."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)


def parted(values: Tensor) -> list[Tensor]:
    """Part what was calculated for several images, (B, ...), into their own memory, (1, ...)."""
    return [values] if len(values) == 1 else [one.clone() for one in values.split(1)]


def halved(values: Tensor) -> Tensor:
    """Keep values in half of the memory of float32, and nearly all of their digits."""
    return values.clamp(-LARGEST, LARGEST).to(torch.float16)


def stored(values: Tensor, precision: Precision) -> Tensor:
    """Keep values, half as many bits as float32 has, on the device that calculated them."""
    return values.to(torch.bfloat16) if precision == "bfloat16" else halved(values)

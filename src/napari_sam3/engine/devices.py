"""The devices a model can run on, and what they can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from ..values import ModelError

Precision = Literal["float32", "bfloat16"]
"""The dtype a model computes in, where its results allow it."""


def available_devices() -> list[str]:
    """Return the names of the devices of this computer, the fastest first."""
    devices = ["cpu"]
    if torch.backends.mps.is_available():
        devices.insert(0, "mps")
    if torch.cuda.is_available():
        devices.insert(0, "cuda")
    return devices


def checked_device(device: str) -> str:
    """Return the device to use; "auto" is the fastest there is.

    Raises
    ------
    ModelError
        If this computer has no such device.
    """
    if device == "auto":
        return available_devices()[0]
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"This computer has no device {device!r}: choose one of "
            f"{', '.join(['auto', *available_devices()])}."
        ) from error
    return device


def device_bytes(device: str) -> int:
    """Return the memory that a device has of its own."""
    match torch.device(device).type:
        case "cuda":
            return int(torch.cuda.get_device_properties(device).total_memory)
        case "mps":
            return int(torch.mps.recommended_max_memory())
    return 0


def synchronize(device: str) -> None:
    """Wait until a GPU has finished what was queued on it."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    if torch.device(device).type == "mps":
        torch.mps.synchronize()


def processor_capabilities() -> Mapping[str, bool]:
    """Return which instructions the processor has, if torch is new enough to tell."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def compute_dtype(device: torch.device | str) -> Precision:
    """Return the dtype an encoder computes in: bfloat16 where a processor has instructions for it.

    On a GPU it is float32; models that compute in bfloat16 there choose it by themselves.
    """
    if torch.device(device).type != "cpu":
        return "float32"
    known = processor_capabilities()
    return "bfloat16" if known.get("avx512_bf16") or known.get("amx_bf16") else "float32"

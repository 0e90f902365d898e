"""The devices a model can run on."""

from __future__ import annotations

import torch

from .errors import ModelError


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

"""How many bytes embeddings may occupy, on the device, in memory and on disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
from platformdirs import user_cache_dir

from ...storage import free_bytes
from ...values import Sam3Error

CACHE_VARIABLE = "NAPARI_SAM3_CACHE"
MEMORY_VARIABLE = "NAPARI_SAM3_MEMORY"
DEVICE_VARIABLE = "NAPARI_SAM3_DEVICE_MEMORY"
DISK_VARIABLE = "NAPARI_SAM3_DISK"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]B)?", re.IGNORECASE)
SHARE = 4
"""By default embeddings may occupy a quarter of what the computer has."""
MAX_DISK_BYTES = 32 * 10**9


@dataclass(frozen=True, slots=True)
class Budgets:
    """Bytes that the embeddings of one model may occupy.

    The environment variables NAPARI_SAM3_DEVICE_MEMORY, NAPARI_SAM3_MEMORY and NAPARI_SAM3_DISK
    replace the defaults of this computer: a number of bytes, or an amount such as "500 MB".
    """

    memory: int  # main memory; the only tier in memory where the model runs on the CPU
    device: int = 0  # memory of a graphics card
    disk: int = 0  # in each folder

    @classmethod
    def of_this_computer(cls, device: str) -> Self:
        """Return a quarter of what this computer has, or what the environment variables say.

        Raises
        ------
        Sam3Error
            If an environment variable is not an amount.
        """
        machine = psutil.virtual_memory()
        memory, on_device, on_disk = (
            _from_environment(variable)
            for variable in (MEMORY_VARIABLE, DEVICE_VARIABLE, DISK_VARIABLE)
        )
        default_memory = min(machine.total // SHARE, machine.available // 2)
        default_device = _device_default(device)
        default_disk = min(free_bytes(cache_folder()) // SHARE, MAX_DISK_BYTES)
        return cls(
            default_memory if memory is None else memory,
            default_device if on_device is None else on_device,
            default_disk if on_disk is None else on_disk,
        )


def cache_folder() -> Path:
    """Return the cache folder of this user: that of the system, or NAPARI_SAM3_CACHE."""
    return Path(os.environ.get(CACHE_VARIABLE) or user_cache_dir("napari-sam3"))


def _from_environment(variable: str) -> int | None:
    """Return the bytes that an environment variable stands for; None if it is not set."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    amount = AMOUNT.fullmatch(text)
    if amount is None:
        raise Sam3Error(
            f'The environment variable {variable} is "{text}": make it a number of bytes, or an '
            'amount such as "500 MB" or "8 GB".'
        )
    return int(float(amount[1]) * UNITS[(amount[2] or "").upper()])


def _device_default(device: str) -> int:
    if device == "cpu":
        return 0
    from ..devices import device_bytes  # torch takes seconds to import

    return device_bytes(device) // SHARE

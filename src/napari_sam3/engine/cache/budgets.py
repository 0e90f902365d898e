"""How much embeddings may occupy, on the device, in memory and on disk."""

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

CACHE = "NAPARI_SAM3_CACHE"
MEMORY = "NAPARI_SAM3_MEMORY"
DEVICE = "NAPARI_SAM3_DEVICE_MEMORY"
DISK = "NAPARI_SAM3_DISK"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]B)?", re.IGNORECASE)
SHARE = 4
"""A quarter of what the computer has, if nothing else was chosen."""
MOST_ON_DISK = 32 * 10**9


@dataclass(frozen=True, slots=True)
class Budgets:
    """Bytes that the embeddings of one model may occupy.

    The environment variables NAPARI_SAM3_DEVICE_MEMORY, NAPARI_SAM3_MEMORY and NAPARI_SAM3_DISK
    choose others than those of the computer: numbers of bytes, or such as "500 MB" and "8 GB".
    """

    memory: int  # of the computer; all there is where the CPU calculates
    device: int = 0  # of a device with memory of its own
    disk: int = 0  # in every folder that they are kept in

    @classmethod
    def of_this_computer(cls, device: str) -> Self:
        """Choose a quarter of what this computer has, unless the environment says otherwise.

        Raises
        ------
        Sam3Error
            If a variable of the environment is not an amount.
        """
        machine = psutil.virtual_memory()
        asked = _asked(MEMORY), _asked(DEVICE), _asked(DISK)
        own = (
            min(machine.total // SHARE, machine.available // 2),
            _of_device(device),
            min(free_bytes(cache_folder()) // SHARE, MOST_ON_DISK),
        )
        return cls(*(mine if one is None else one for one, mine in zip(asked, own, strict=True)))


def cache_folder() -> Path:
    """Return where this user's caches are: that of the system, or NAPARI_SAM3_CACHE."""
    return Path(os.environ.get(CACHE) or user_cache_dir("napari-sam3"))


def _asked(variable: str) -> int | None:
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


def _of_device(device: str) -> int:
    if device == "cpu":
        return 0
    from ..devices import device_bytes  # torch takes seconds to import

    return device_bytes(device) // SHARE

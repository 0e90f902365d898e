"""Reading published files of weights, without running code from them."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import without_triton  # noqa: F401
from ..errors import DAMAGED, WeightsError

INSIDE = ("model", "model_state", "state_dict")
"""Where files keep the weights that keep something else too."""
UNREADABLE = (*DAMAGED, EOFError, MemoryError, struct.error)
"""What torch raises for a file that is cut short, changed or no file of weights."""
PREFIX = "sam."
"""What training puts before all names."""


def read_pickled(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .pt file by name; they stay on the disk until they are used.

    Raises
    ------
    WeightsError
        If the file is broken, or holds more than weights.
    """
    found: Any = _load(path)
    for key in INSIDE:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise WeightsError(f"{path} holds no weights by name: choose another file.")
    return {
        str(name).removeprefix(PREFIX): value
        for name, value in found.items()
        if isinstance(value, Tensor)
    }


def _load(path: Path) -> Any:
    try:
        is_mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is broken, or holds more than weights: such files can run programs, so it is "
            "not opened. Download it again, or export its weights alone."
        ) from error
    except UNREADABLE as error:
        raise WeightsError(
            f"{path} cannot be read: it may be cut short, or no file of weights. Download or copy "
            "it again."
        ) from error

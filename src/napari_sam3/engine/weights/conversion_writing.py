"""Writing a folder of weights, whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import without_triton  # noqa: F401
from ..errors import StorageError, WeightsError
from .checkpoints import WEIGHTS
from .disk_room import check_room

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes there are."""
DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}
ALIGNMENT = 8  # bytes; the data of a safetensors file begins at a multiple of it


def write_folder(
    folder: Path,
    tensors: Mapping[str, Tensor],
    texts: Mapping[str, str],
    progress: Progress,
) -> Path:
    """Write weights and the texts beside them; the folder appears when it is complete.

    Raises
    ------
    StorageError
        If there is no room, or the folder cannot be written or is there already.
    """
    if folder.exists():
        raise StorageError(f"{folder} is there already: choose it, or remove it first.")
    check_room(folder, sum(tensor.nbytes for tensor in tensors.values()), "The conversion")
    unfinished: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        for name, text in texts.items():
            (unfinished / name).write_text(text, encoding="utf-8")
        _write_tensors(unfinished / WEIGHTS, tensors, progress)
        unfinished.chmod(0o755)  # a temporary folder is its owner's alone
        unfinished.rename(folder)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written ({error}).") from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write_tensors(path: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Write one tensor after the other, so that memory holds one of them."""
    total = sum(tensor.nbytes for tensor in tensors.values())
    done = 0
    with path.open("wb") as file:
        header = _header(path, tensors)
        file.write(len(header).to_bytes(8, "little") + header)
        for tensor in tensors.values():
            flat = tensor.detach().contiguous().reshape(-1)
            data: Any = flat.view(torch.uint8).numpy()
            file.write(data)
            done += tensor.nbytes
            progress(done, total)


def _header(path: Path, tensors: Mapping[str, Tensor]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, tensor in tensors.items():
        dtype = DTYPES.get(tensor.dtype)
        if dtype is None:
            raise WeightsError(f"{name} for {path} holds {tensor.dtype}, which is not known.")
        end = begin + tensor.nbytes
        shape = list(tensor.shape)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries).encode()
    return text + b" " * (-len(text) % ALIGNMENT)

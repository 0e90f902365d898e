"""One embedding on disk: a group of zarr with an array for each of its parts."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from .packing import Packed
from .signing import Signature

VERSION = 1
"""Of the layout of an entry, and of what a backend packs or sees with the same weights.

Raise it when any of them changes: entries of other versions are made again."""
CHUNK_BYTES = 2**23
"""About what is compressed at once; several threads work on an array that is larger."""
CODECS = (ZstdCodec(level=1), Crc32cCodec())
"""The fastest level halves features of a dark background, and a sum tells of every damage."""
METADATA = "zarr.json"
UNREADABLE = (OSError, ValueError, LookupError, TypeError, RuntimeError)
"""What zarr raises when a file is missing, cut off or changed."""


class DamagedError(Exception):
    """An entry is not what was written."""


def write_entry(folder: Path, signature: Signature, packed: Packed) -> None:
    """Write an embedding into a new folder.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    group = zarr.open_group(folder, mode="w")
    for name, array in packed.arrays.items():
        group.create_array(
            name,
            data=array,
            chunks=_chunks(array),
            compressors=CODECS,
            config={"write_empty_chunks": True},  # what is missing is told from what is zero
        )
    told = {
        "version": VERSION,
        "signature": asdict(signature),
        "facts": dict(packed.facts),
        "arrays": {name: _sum_of(folder / name / METADATA) for name in packed.arrays},
    }
    group.update_attributes({**told, "sum": _sum(told)})


def read_entry(folder: Path, signature: Signature) -> Packed:
    """Read the embedding with this signature.

    Raises
    ------
    DamagedError
        If something is missing or was changed, or it was written by another version.
    """
    try:
        told = _checked(folder, signature)
        arrays = {name: _read_array(folder / name) for name in told["arrays"]}
    except UNREADABLE as error:
        raise DamagedError(str(error)) from error
    return Packed(arrays, told["facts"])


def _checked(folder: Path, signature: Signature) -> Mapping[str, Any]:
    """Return what is told about an entry, after everything but the chunks was checked."""
    told = json.loads((folder / METADATA).read_bytes())["attributes"]
    if told.pop("sum") != _sum(told):
        raise ValueError("its description was changed")
    if told["version"] != VERSION or told["signature"] != asdict(signature):
        raise ValueError("it was written by another version")
    for name, known in told["arrays"].items():
        if _sum_of(folder / name / METADATA) != known:
            raise ValueError(f"the description of {name} was changed")
    return told


def _read_array(folder: Path) -> NDArray[Any]:
    array = zarr.open_array(folder, mode="r")
    values = np.asarray(array[...])
    if array.nchunks_initialized < array.nchunks:  # zarr reads a missing chunk as zeros
        raise ValueError(f"a part of {folder.name} is missing")
    return values


def _chunks(array: NDArray[Any]) -> tuple[int, ...]:
    """Cut an array across its first axes, so that chunks are about of equal size."""
    left = max(math.ceil(array.nbytes / CHUNK_BYTES), 1)
    chunks = []
    for side in array.shape:
        parts = min(left, side)
        chunks.append(math.ceil(side / parts))
        left = math.ceil(left / parts)
    return tuple(chunks)


def _sum_of(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def _sum(told: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(told, sort_keys=True).encode())

"""One embedding on disk: a group of zarr with one array of bytes.

All parts of an embedding lie in it one after the other: sixteen small arrays took four times as
long to read as one.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from ..backends.base import Packed
from .content_hash import Origin, Signature
from .quota import folder_bytes

VERSION = 3
"""Of the layout of an entry, and of what a backend packs or sees with the same weights.

Raise it when any of them changes: entries of other versions are made again."""
CHUNK_BYTES = 2**23
"""About what is compressed at once; several threads work on an array that is larger."""
CODECS = (BloscCodec(cname="lz4", shuffle="bitshuffle", typesize=2), Crc32cCodec())
"""Half precision with its bits in order packs best: 42 MB into 29, read in 27 ms and written in
49, against 30, 40 and 86 by Zstandard at its fastest. A sum tells of every damage."""
METADATA = "zarr.json"
CONTENT = "content"
CHUNKS = "c"
ALIGNED = 64
"""Arrays begin at multiples of so many bytes of the content."""
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)
"""What zarr raises when a file is missing, cut off or changed."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where one array of an embedding lies in the content."""

    start: int  # in bytes
    dtype: str  # as NumPy writes it
    shape: list[int]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def of(self, content: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the array, a view of the content."""
        array = content[self.start : self.start + self.nbytes].view(np.dtype(self.dtype))
        return array.reshape(self.shape)


class DamagedError(Exception):
    """An entry is not what was written."""


def write_entry(
    folder: Path, signature: Signature, packed: Packed, origin: Origin | None = None
) -> None:
    """Write an embedding into a new folder.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    group = zarr.open_group(folder, mode="w")
    parts, size = _laid_out(packed.arrays)
    content = np.zeros(size, np.uint8)
    for name, array in packed.arrays.items():
        parts[name].of(content)[...] = array
    group.create_array(
        CONTENT,
        data=content,
        chunks=(min(max(size, 1), CHUNK_BYTES),),
        compressors=CODECS,
        config={"write_empty_chunks": True},  # what is missing is told from what is zero
    )
    told = {
        "version": VERSION,
        "signature": asdict(signature),
        "origin": None if origin is None else asdict(origin),
        "facts": dict(packed.facts),
        "parts": {name: asdict(part) for name, part in parts.items()},
        "content": _sum_of(folder / CONTENT / METADATA),
        "stored": folder_bytes(folder / CONTENT / CHUNKS),
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
        content = _read_content(folder / CONTENT)
        arrays = {name: Part(**part).of(content) for name, part in told["parts"].items()}
    except UNREADABLE as error:
        raise DamagedError(str(error)) from error
    return Packed(arrays, told["facts"])


def measure_entry(folder: Path, signature: Signature) -> int:
    """Return the bytes of the embedding with this signature, without reading it.

    Raises
    ------
    DamagedError
        If something is missing or cut off, or it was written by another version. What else was
        changed is noticed when it is read.
    """
    try:
        told = _checked(folder, signature)
        if folder_bytes(folder / CONTENT / CHUNKS) != told["stored"]:
            raise ValueError("a part of its content is missing")
        return sum(Part(**part).nbytes for part in told["parts"].values())
    except UNREADABLE as error:
        raise DamagedError(str(error)) from error


def read_origin(folder: Path) -> tuple[Signature, Origin] | None:
    """Return what an entry was made of, without reading its content; None if it does not tell."""
    try:
        told = json.loads((folder / METADATA).read_bytes())["attributes"]
        origin = Origin(tuple(told["origin"]["shape"]), told["origin"]["frame"])
        return Signature(**told["signature"]), origin
    except UNREADABLE:
        return None


def _laid_out(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, Part], int]:
    """Choose where each array lies in the content, and how many bytes that has."""
    parts, end = {}, 0
    for name, array in arrays.items():
        parts[name] = Part(end, array.dtype.str, list(array.shape))
        end += -(-array.nbytes // ALIGNED) * ALIGNED
    return parts, end


def _checked(folder: Path, signature: Signature) -> Mapping[str, Any]:
    """Return what is told about an entry, after everything but the chunks was checked."""
    told = json.loads((folder / METADATA).read_bytes())["attributes"]
    if told.pop("sum") != _sum(told):
        raise ValueError("its description was changed")
    if told["version"] != VERSION or told["signature"] != asdict(signature):
        raise ValueError("it was written by another version")
    if _sum_of(folder / CONTENT / METADATA) != told["content"]:
        raise ValueError("the description of its content was changed")
    return told


def _read_content(folder: Path) -> NDArray[np.uint8]:
    array = zarr.open_array(folder, mode="r")
    content = np.asarray(array[...])
    if array.nchunks_initialized < array.nchunks:  # zarr reads a missing chunk as zeros
        raise ValueError("a part of its content is missing")
    return content


def _sum_of(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def _sum(told: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(told, sort_keys=True).encode())

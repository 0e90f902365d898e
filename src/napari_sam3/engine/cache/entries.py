"""One embedding on disk: a group of zarr with one array of bytes.

All arrays of an embedding lie in it one behind the next: sixteen small arrays took four times as
long to read as a single one.
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

from ...storage import UNREADABLE
from ..backends.base import Packed
from .content_hash import ContentHash, Origin
from .quota import folder_bytes

VERSION = 3
"""Of the layout of an entry, and of what a backend packs or encodes with the same weights.

Raise it when any of them changes: entries of earlier versions are encoded again."""
CHUNK_BYTES = 2**23
"""About what is compressed at once; several threads work on an array that is larger."""
CODECS = (BloscCodec(cname="lz4", shuffle="bitshuffle", typesize=2), Crc32cCodec())
"""Half precision with its bits in order packs best: 42 MB into 29, read in 27 ms and written in
49, against 30, 40 and 86 by Zstandard at its fastest. A checksum detects all damage."""
METADATA = "zarr.json"
CONTENT = "content"
CHUNKS = "c"
ALIGNED_BYTES = 64
"""Arrays begin at multiples of so many bytes of the content."""


class DamagedError(Exception):
    """An entry is not what was written."""


def write_entry(
    folder: Path, content_hash: ContentHash, packed: Packed, origin: Origin | None = None
) -> None:
    """Write an embedding into a new folder.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    group = zarr.open_group(folder, mode="w")
    layouts, nbytes = _layout(packed.arrays)
    content = np.zeros(nbytes, np.uint8)
    for name, array in packed.arrays.items():
        layouts[name].view(content)[...] = array
    group.create_array(
        CONTENT,
        data=content,
        chunks=(min(max(nbytes, 1), CHUNK_BYTES),),
        compressors=CODECS,
        config={"write_empty_chunks": True},  # so that a missing chunk differs from one of zeros
    )
    attributes = {
        "version": VERSION,
        "signature": asdict(content_hash),
        "origin": None if origin is None else asdict(origin),
        "facts": dict(packed.facts),
        "parts": {name: asdict(layout) for name, layout in layouts.items()},
        "content": _file_checksum(folder / CONTENT / METADATA),
        "stored": folder_bytes(folder / CONTENT / CHUNKS),
    }
    group.update_attributes({**attributes, "sum": _checksum(attributes)})


def read_entry(folder: Path, content_hash: ContentHash) -> Packed:
    """Read the embedding with this content hash.

    Raises
    ------
    DamagedError
        If a file is missing or was changed, or the entry was written by another version.
    """
    try:
        attributes = _checked_attributes(folder, content_hash)
        content = _read_content(folder / CONTENT)
        layouts = {name: ArrayLayout(**layout) for name, layout in attributes["parts"].items()}
        arrays = {name: layout.view(content) for name, layout in layouts.items()}
    except UNREADABLE as error:
        raise DamagedError(str(error)) from error
    return Packed(arrays, attributes["facts"])


def measure_entry(folder: Path, content_hash: ContentHash) -> int:
    """Return the bytes of the embedding with this content hash, without reading it.

    Raises
    ------
    DamagedError
        If a file is missing or cut off, or the entry was written by another version. All other
        damage is detected by `read_entry`.
    """
    try:
        attributes = _checked_attributes(folder, content_hash)
        if folder_bytes(folder / CONTENT / CHUNKS) != attributes["stored"]:
            raise ValueError("a part of its content is missing")
        return sum(ArrayLayout(**layout).nbytes for layout in attributes["parts"].values())
    except UNREADABLE as error:
        raise DamagedError(str(error)) from error


def read_origin(folder: Path) -> tuple[ContentHash, Origin] | None:
    """Return what an entry was made of, without reading its content; None if it is not known."""
    try:
        attributes = json.loads((folder / METADATA).read_bytes())["attributes"]
        origin = Origin(tuple(attributes["origin"]["shape"]), attributes["origin"]["frame"])
        return ContentHash(**attributes["signature"]), origin
    except UNREADABLE:
        return None


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """Where an array of an embedding lies in the content of its entry."""

    start: int  # in bytes
    dtype: str  # as NumPy writes it
    shape: list[int]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def view(self, content: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the array as a view of the content."""
        array = content[self.start : self.start + self.nbytes].view(np.dtype(self.dtype))
        return array.reshape(self.shape)


def _layout(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, ArrayLayout], int]:
    """Choose where each array lies in the content, and how many bytes that has."""
    layouts, end = {}, 0
    for name, array in arrays.items():
        layouts[name] = ArrayLayout(end, array.dtype.str, list(array.shape))
        end += -(-array.nbytes // ALIGNED_BYTES) * ALIGNED_BYTES
    return layouts, end


def _checked_attributes(folder: Path, content_hash: ContentHash) -> Mapping[str, Any]:
    """Read the attributes of an entry, and check all of it but the chunks."""
    attributes = json.loads((folder / METADATA).read_bytes())["attributes"]
    if attributes.pop("sum") != _checksum(attributes):
        raise ValueError("its description was changed")
    if attributes["version"] != VERSION or attributes["signature"] != asdict(content_hash):
        raise ValueError("it was written by another version")
    if _file_checksum(folder / CONTENT / METADATA) != attributes["content"]:
        raise ValueError("the description of its content was changed")
    return attributes


def _read_content(folder: Path) -> NDArray[np.uint8]:
    array = zarr.open_array(folder, mode="r")
    content = np.asarray(array[...])
    if array.nchunks_initialized < array.nchunks:  # zarr reads a missing chunk as zeros
        raise ValueError("a part of its content is missing")
    return content


def _file_checksum(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def _checksum(attributes: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(attributes, sort_keys=True).encode())

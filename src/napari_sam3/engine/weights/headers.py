"""What a safetensors file holds, read from its header alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import WeightsError

LENGTH_BYTES = 8
"""A file begins with the length of its header, a little-endian integer of so many bytes."""
LONGEST = 100_000_000
"""No header is longer than this, in bytes."""
AGAIN = "download or copy it again"


@dataclass(frozen=True, slots=True)
class Header:
    """The names and shapes of the tensors of a file, and what it says of itself."""

    shapes: Mapping[str, tuple[int, ...]]
    facts: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read what a safetensors file holds, and see that the file is whole.

    Raises
    ------
    WeightsError
        If the file cannot be read, is of another kind, or is cut short.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            text = _header_of(path, file)
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read ({error}).") from error
    try:
        entries = json.loads(text)
        facts = {name: str(fact) for name, fact in entries.pop("__metadata__", {}).items()}
        shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
        ends = [int(entry["data_offsets"][1]) for entry in entries.values()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {AGAIN}.") from error
    wanted = LENGTH_BYTES + len(text) + max(ends, default=0)
    if size < wanted:
        raise WeightsError(
            f"{path} is cut short: {_megabytes(size)} of {_megabytes(wanted)} MB are there. "
            f"{AGAIN.capitalize()}."
        )
    return Header(shapes, facts)


def _header_of(path: Path, file: BinaryIO) -> bytes:
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    text = file.read(length) if 0 < length <= LONGEST else b""
    if not text.startswith(b"{"):
        raise WeightsError(f"{path} is not a safetensors file: {AGAIN}, or choose another.")
    return text


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"

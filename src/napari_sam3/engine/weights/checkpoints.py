"""What a file or a folder of weights holds, recognised before anything is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...values import WeightsError
from .catalog import (
    CLIP_KIND,
    KINDS,
    OPEN_CLIP_FILES,
    TRANSFORMERS_FILES,
    ModelKind,
)
from .clip_folder import ClipFolder

CONFIG = TRANSFORMERS_FILES.config
WEIGHTS = TRANSFORMERS_FILES.weights[0]
PICKLED = (".pt", ".pth")
AGAIN = "download or copy it again"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights on this computer."""

    kind: ModelKind
    path: Path  # the file, or the folder
    bytes: int  # of the weights

    @property
    def resembles(self) -> str:
        """The id of a published model that takes as long, or nothing."""
        models = self.kind.models
        return models[0].id if len(models) == 1 else ""

    @property
    def is_convertible(self) -> bool:
        """Whether it is a published file that must be converted before it can be loaded."""
        return self.kind.is_convertible


def recognise(path: str | Path) -> Checkpoint:
    """Recognise what a file or a folder holds, by its names and headers.

    Raises
    ------
    WeightsError
        If it is nothing that can be used, or broken.
    """
    expanded = Path(path).expanduser()
    if expanded.is_dir():
        return _recognise_folder(expanded)
    if not expanded.is_file():
        raise WeightsError(f"There is no file or folder {expanded}: choose another.")
    if expanded.suffix == ".safetensors":
        return _recognise_safetensors(expanded)
    if expanded.suffix in PICKLED:
        return _recognise_pickled(expanded)
    raise WeightsError(
        f"{expanded} holds no weights that can be read: choose a folder with a {CONFIG}, a "
        ".safetensors or a .pt file."
    )


def _recognise_folder(folder: Path) -> Checkpoint:
    if (folder / OPEN_CLIP_FILES.config).is_file():
        return _checkpoint(CLIP_KIND, folder, ClipFolder.open(folder).weights)
    if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
        return _recognise_transformers(folder)
    pickled = [file for suffix in PICKLED for file in sorted(folder.glob(f"*{suffix}"))]
    if len(pickled) == 1:
        return _recognise_pickled(pickled[0])
    if (folder / CONFIG).is_file():
        raise WeightsError(f"The folder {folder} has no {WEIGHTS}: copy or download it again.")
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise WeightsError(
            f"The folder {folder} holds {len(files)} .safetensors files and no {CONFIG}: choose "
            "one of the files, or the whole folder of a model."
        )
    return _recognise_safetensors(files[0])


def _recognise_safetensors(file: Path) -> Checkpoint:
    file_format = read_header(file).metadata.get("format", "")
    for kind in KINDS:
        if kind.file_format and file_format.startswith(kind.file_format):
            return _checkpoint(kind, file, file)
    if any((file.parent / config).is_file() for config in (CONFIG, OPEN_CLIP_FILES.config)):
        return _recognise_folder(file.parent)
    raise WeightsError(
        f"{file} does not say which model it is for: choose a folder that has a {CONFIG} beside it."
    )


def _recognise_transformers(folder: Path) -> Checkpoint:
    model_type = str(read_config(folder).get("model_type", "nothing"))
    kind = next((kind for kind in KINDS if model_type in kind.model_types), None)
    if kind is None:
        *titles, last = (kind.title for kind in KINDS if kind.model_types)
        raise WeightsError(
            f"The folder {folder} holds a model of type {model_type!r}, which is not one that can "
            f"be used here: choose {', '.join(titles)} or {last}."
        )
    names = read_header(folder / WEIGHTS).shapes
    missing = [
        module for module in kind.modules if not any(name.startswith(module) for name in names)
    ]
    if missing:
        raise WeightsError(
            f"{folder / WEIGHTS} lacks {', '.join(missing)} of {kind.title}: it is not the whole "
            "model. Download it again."
        )
    return _checkpoint(kind, folder, folder / WEIGHTS)


def _recognise_pickled(file: Path) -> Checkpoint:
    for kind in KINDS:
        if any(part in file.name.lower() for part in kind.published_names):
            return _checkpoint(kind, file, file)
    from .state_dicts import read_pickled  # torch takes seconds to import

    names = set(read_pickled(file))
    for kind in KINDS:
        patterns = kind.published_tensors
        if patterns and all(_any_matches(names, pattern) for pattern in patterns):
            return _checkpoint(kind, file, file)
    raise _unknown_tensors(file, names)


def _unknown_tensors(file: Path, names: Iterable[str]) -> WeightsError:
    """Return the error that names a published model which cannot be used here."""
    if _any_matches(names, r"image_encoder\.trunk\."):
        return WeightsError(
            f"{file} is SAM 2 as published: use the folder facebook/sam2.1-hiera-tiny, or another "
            "size, from the Hugging Face hub."
        )
    if _any_matches(names, r"image_encoder\."):
        return WeightsError(
            f"{file} is a vit_t model (MobileSAM), which is not supported: choose vit_b, vit_l or "
            "vit_h."
        )
    return WeightsError(f"{file} is not the weights of a model that can be used here.")


def _any_matches(names: Iterable[str], pattern: str) -> bool:
    """Whether a pattern begins any name."""
    return any(re.match(pattern, name) for name in names)


def _checkpoint(kind: ModelKind, path: Path, weights: Path) -> Checkpoint:
    return Checkpoint(kind, path, weights.stat().st_size)


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of the model in a folder.

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder / CONFIG} cannot be read ({error}): copy it again.") from error
    return config if isinstance(config, dict) else {}


LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, an integer of so many bytes."""
MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a safetensors file."""

    shapes: Mapping[str, tuple[int, ...]]  # of the tensors, by name
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read the header of a safetensors file, and check that the file is whole.

    Raises
    ------
    WeightsError
        If the file cannot be read, is of another kind, or is cut short.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            text = _read_header_text(path, file)
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read ({error}).") from error
    try:
        entries = json.loads(text)
        metadata = {name: str(value) for name, value in entries.pop("__metadata__", {}).items()}
        shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
        ends = [int(entry["data_offsets"][1]) for entry in entries.values()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {AGAIN}.") from error
    whole = LENGTH_BYTES + len(text) + max(ends, default=0)
    if size < whole:
        raise WeightsError(
            f"{path} is cut short: {_megabytes(size)} of {_megabytes(whole)} MB are there. "
            f"{AGAIN.capitalize()}."
        )
    return Header(shapes, metadata)


def _read_header_text(path: Path, file: BinaryIO) -> bytes:
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    text = file.read(length) if 0 < length <= MAX_HEADER_BYTES else b""
    if not text.startswith(b"{"):
        raise WeightsError(f"{path} is not a safetensors file: {AGAIN}, or choose another.")
    return text


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"

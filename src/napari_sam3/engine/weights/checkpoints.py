"""What a file or a folder of weights is, found out before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ...values import WeightsError
from .catalog import APACHE, CLICKS, EDGETAM, EMBEDDED, LOOKS, SAM3, SAM_LICENSE
from .clip_folder import CLIP_CONFIG, ClipFolder

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


Kind = Literal[
    "embedded", "sam3", "sam3.1", "sam2", "edgetam", "sam1", "sam3-original", "micro-sam", "clip"
]
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PICKLED = (".pt", ".pth")
MODEL_TYPES: dict[str, Kind] = {
    "sam3_video": "sam3",
    "sam2": "sam2",
    "sam2_video": "sam2",
    "edgetam": "edgetam",
    "edgetam_video": "edgetam",
    "sam": "sam1",
}
PROPAGATION = ("vision_encoder", "prompt_encoder", "mask_decoder", "memory_attention")
PARTS: dict[Kind, tuple[str, ...]] = {
    "sam3": ("detector_model", "tracker_model", "tracker_neck"),
    "sam2": PROPAGATION,
    "edgetam": PROPAGATION,
    "sam1": ("vision_encoder", "prompt_encoder", "mask_decoder"),
}
"""What the names of a model's tensors begin with; all of it must be there."""
NO_SAM_3_1 = (
    "holds SAM 3.1, which cannot be read yet: use SAM 3 (facebook/sam3) instead, whose folder has "
    f"a {WEIGHTS}."
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of all checkpoints of a kind."""

    title: str
    licence: str
    abilities: str
    needs: str


FACTS: dict[Kind, Facts] = {
    "embedded": Facts(EMBEDDED.title, EMBEDDED.licence, EMBEDDED.abilities, "Any computer."),
    "sam3": Facts(SAM3.title, SAM_LICENSE, SAM3.abilities, "A GPU of 6 GB, or patience."),
    "sam3.1": Facts("SAM 3.1", SAM_LICENSE, "Nothing here yet.", "Use SAM 3 instead."),
    "sam2": Facts("SAM 2", APACHE, CLICKS, "A GPU, or a few seconds an image."),
    "edgetam": Facts("EdgeTAM", APACHE, CLICKS, "A second an image without a GPU."),
    "sam1": Facts(
        "SAM 1",
        APACHE,
        LOOKS,
        "A GPU, or a few seconds an image.",
    ),
    "sam3-original": Facts(
        "SAM 3, as published", SAM_LICENSE, SAM3.abilities, "To be converted once."
    ),
    "micro-sam": Facts(
        "SAM 1 for microscopy, as published",
        "As stated where you got it.",
        LOOKS,
        "To be converted once.",
    ),
    "clip": Facts(
        "CLIP",
        "As stated where you got it.",
        "Ranks what a model without words has found by a text.",
        "Any computer; a GPU for hundreds of objects.",
    ),
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights on this computer."""

    kind: Kind
    path: Path  # the file, or the folder
    bytes: int  # of the weights

    @property
    def facts(self) -> Facts:
        """What is true of all of its kind."""
        return FACTS[self.kind]

    @property
    def resembles(self) -> str:
        """The id of a known model that takes as long, or nothing."""
        return {"embedded": EMBEDDED.id, "sam3": SAM3.id, "edgetam": EDGETAM.id}.get(self.kind, "")

    @property
    def is_convertible(self) -> bool:
        """Whether it is a published file that must be converted before it can be loaded."""
        return self.kind in ("sam3-original", "micro-sam")


def recognise(path: str | Path) -> Checkpoint:
    """Find out what a file or a folder holds, from its names and headers.

    Raises
    ------
    WeightsError
        If it is nothing that can be used, or broken.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        return _folder(place)
    if not place.is_file():
        raise WeightsError(f"There is no file or folder {place}: choose another.")
    if place.suffix == ".safetensors":
        return _safetensors(place)
    if place.suffix in PICKLED:
        return _pickled(place)
    raise WeightsError(
        f"{place} holds no weights that can be read: choose a folder with a {CONFIG}, a "
        ".safetensors or a .pt file."
    )


def _folder(folder: Path) -> Checkpoint:
    if (folder / CLIP_CONFIG).is_file():
        return _checkpoint("clip", folder, ClipFolder.open(folder).weights)
    if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
        return _transformers(folder)
    published = [file for suffix in PICKLED for file in sorted(folder.glob(f"*{suffix}"))]
    if len(published) == 1:
        return _pickled(published[0])
    if (folder / CONFIG).is_file():
        raise WeightsError(f"The folder {folder} has no {WEIGHTS}: copy or download it again.")
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise WeightsError(
            f"The folder {folder} holds {len(found)} .safetensors files and no {CONFIG}: choose "
            "one of the files, or the whole folder of a model."
        )
    return _safetensors(found[0])


def _safetensors(file: Path) -> Checkpoint:
    header = read_header(file)
    if header.facts.get("format", "").startswith("napari-sam3 embedded"):
        return _checkpoint("embedded", file, file)
    if any((file.parent / config).is_file() for config in (CONFIG, CLIP_CONFIG)):
        return _folder(file.parent)
    raise WeightsError(
        f"{file} does not say which model it is for: choose a folder that has a {CONFIG} beside it."
    )


def _transformers(folder: Path) -> Checkpoint:
    model_type = str(read_config(folder).get("model_type", "nothing"))
    kind = MODEL_TYPES.get(model_type)
    if kind is None:
        raise WeightsError(
            f"The folder {folder} holds a model of type {model_type!r}, which is not one that can "
            "be used here: choose SAM 3, SAM 2, EdgeTAM or SAM 1."
        )
    names = read_header(folder / WEIGHTS).shapes
    missing = [part for part in PARTS[kind] if not any(name.startswith(part) for name in names)]
    if missing:
        raise WeightsError(
            f"{folder / WEIGHTS} lacks {', '.join(missing)} of {FACTS[kind].title}: it is not the "
            "whole model. Download it again."
        )
    return _checkpoint(kind, folder, folder / WEIGHTS)


def read_config(folder: Path) -> dict[str, Any]:
    """Read what a folder says of its model.

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


def _pickled(file: Path) -> Checkpoint:
    if "sam3.1" in file.name.lower() or "multiplex" in file.name.lower():
        return _checkpoint("sam3.1", file, file)
    from .published import read_pickled  # torch takes seconds to import

    return _checkpoint(_kind_of(file, set(read_pickled(file))), file, file)


def _kind_of(file: Path, names: set[str]) -> Kind:
    if _any_has(names, "multiplex"):
        return "sam3.1"
    if _any_begins(names, "detector.") and _any_begins(names, "tracker."):
        return "sam3-original"
    if not _any_begins(names, "image_encoder."):
        raise WeightsError(f"{file} is not the weights of a model that can be used here.")
    if _any_begins(names, "image_encoder.trunk."):
        raise WeightsError(
            f"{file} is SAM 2 as published: use the folder facebook/sam2.1-hiera-tiny, or another "
            "size, from the Hugging Face hub."
        )
    if not _any_begins(names, "image_encoder.blocks."):
        raise WeightsError(
            f"{file} is a vit_t model (MobileSAM), which is not supported: choose vit_b, vit_l or "
            "vit_h."
        )
    return "micro-sam"


def _any_begins(names: Iterable[str], start: str) -> bool:
    return any(name.startswith(start) for name in names)


def _any_has(names: Iterable[str], part: str) -> bool:
    return any(part in name for name in names)


def _checkpoint(kind: Kind, path: Path, weights: Path) -> Checkpoint:
    return Checkpoint(kind, path, weights.stat().st_size)

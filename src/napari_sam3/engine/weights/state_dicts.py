"""State dicts of published checkpoints: read, given the names of transformers, and written."""

from __future__ import annotations

import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ...storage import check_free_space, new_folder
from ...values import DAMAGED, StorageError, WeightsError
from .. import without_triton  # noqa: F401  before torch or transformers are imported
from .checkpoints import WEIGHTS

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes there are."""
NESTED = ("model", "model_state", "state_dict")
"""Where files keep the state dict that keep something else too."""
PREFIX = "sam."
"""What training puts before all names."""
UNREADABLE = (*DAMAGED, EOFError, MemoryError, struct.error)
"""What torch raises for a file that is cut short, changed or no file of weights."""
DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}
ALIGNMENT = 8  # bytes; the data of a safetensors file begins at a multiple of it


def read_pickled(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .pt file by name; they stay on the disk until they are used.

    Raises
    ------
    WeightsError
        If the file is broken, or holds more than weights.
    """
    content: Any = _load(path)
    for key in NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds no weights by name: choose another file.")
    return {
        str(name).removeprefix(PREFIX): value
        for name, value in content.items()
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


Cut = Literal["whole", "query", "key", "value", "transposed", "patches", "rows"]
"""What is taken of the published tensors: all; a third of the rows; the transpose; all positions
but the first, where there is one more than patches; or the rows of several, below each other."""
QKV: tuple[Cut, ...] = ("query", "key", "value")
NUMBER, LEAF = "#", "*"


@dataclass(frozen=True, slots=True)
class KeyRule:
    """Which published tensors become the converted ones whose names fit a pattern.

    ``#`` stands for a number and ``*`` for "weight" or "bias"; numbers are the same, in the same
    order, in the published name.
    """

    target: str  # pattern of converted names
    source: str  # pattern of published names
    cut: Cut = "whole"


@dataclass(frozen=True, slots=True)
class Origin:
    """The published tensors that one converted tensor is made of."""

    names: tuple[str, ...]
    cut: Cut


def module_rules(target: str, source: str, names: Mapping[str, str]) -> list[KeyRule]:
    """Give submodules other names; their weights and biases come along."""
    return [KeyRule(f"{target}.{new}.*", f"{source}.{old}.*") for new, old in names.items()]


def attention_rules(target: str, source: str, out: str = "o_proj") -> list[KeyRule]:
    """Split one stacked projection into those of queries, keys and values."""
    projections = [KeyRule(f"{target}.{cut[0]}_proj.*", f"{source}.in_proj_*", cut) for cut in QKV]
    return [*projections, KeyRule(f"{target}.{out}.*", f"{source}.out_proj.*")]


def perceptron_rules(target: str, source: str, depth: int) -> list[KeyRule]:
    """Give the layers of a multilayer perceptron numbers from 1 instead of 0."""
    return [
        KeyRule(f"{target}.layer{number + 1}.*", f"{source}.layers.{number}.*")
        for number in range(depth)
    ]


def head_rules(target: str, source: str) -> list[KeyRule]:
    """Name the three layers of a multilayer perceptron by what they do."""
    names = {"proj_in": "layers.0", "layers.0": "layers.1", "proj_out": "layers.2"}
    return module_rules(target, source, names)


def converted_tensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    published: Mapping[str, Tensor],
    rules: Sequence[KeyRule],
    unused: Iterable[str] = (),
) -> dict[str, Tensor]:
    """Make every tensor that a model needs out of those of a published file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    shapes : mapping of str to tuple
        All that the model needs.
    published : mapping of str to Tensor
        All that the file holds.
    rules : sequence of KeyRule
        Which tensors become which; the first that fits counts.
    unused : iterable of str
        Patterns of names that are known to be of no use.

    Raises
    ------
    WeightsError
        If a tensor is missing, has another shape, or is not known.
    """
    origins = {name: origin_of(name, rules) for name in shapes}
    used = {name for origin in origins.values() if origin for name in origin.names}
    unknown = _without(published.keys() - used, unused)
    _refuse(path, "lacks", sorted(used - published.keys()))
    _refuse(path, "lacks what is needed for", [name for name in origins if origins[name] is None])
    _refuse(path, "holds unknown", sorted(unknown))
    tensors = {
        name: _cut(origin, published, shapes[name]) for name, origin in origins.items() if origin
    }
    wrong = [name for name, tensor in tensors.items() if tuple(tensor.shape) != shapes[name]]
    _refuse(path, "misshapes", wrong)
    return tensors


def origin_of(name: str, rules: Sequence[KeyRule]) -> Origin | None:
    """Return which published tensors a converted one is made of, by the first rule that fits."""
    for rule in rules:
        match = _pattern(rule.target).fullmatch(name)
        if match is not None:
            return Origin(tuple(_listed(_filled(rule.source, match.groups()))), rule.cut)
    return None


def _without(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the names that no pattern begins."""
    compiled = [re.compile(pattern) for pattern in patterns]
    return [name for name in names if not any(pattern.match(name) for pattern in compiled)]


def _cut(origin: Origin, published: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    tensors = [published[name] for name in origin.names]
    match origin.cut:
        case "query" | "key" | "value":
            return tensors[0].tensor_split(3)[QKV.index(origin.cut)]
        case "transposed":
            return tensors[0].T
        case "patches":
            return tensors[0][:, tensors[0].shape[1] - shape[1] :]
        case "rows":
            return torch.cat(tensors)
        case "whole":
            return tensors[0]


def _refuse(path: Path, verb: str, names: list[str]) -> None:
    if not names:
        return
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise WeightsError(
        f"{path} {verb} {', '.join(names[:3])}{rest}: it is not a file that can be converted, so "
        "nothing was written."
    )


@cache
def _pattern(target: str) -> re.Pattern[str]:
    escaped = re.escape(target).replace(re.escape(NUMBER), r"(\d+)")
    return re.compile(escaped.replace(re.escape(LEAF), "(weight|bias)"))


def _filled(source: str, parts: Iterable[str]) -> str:
    """Put numbers and "weight" or "bias" into a pattern of names."""
    for part in parts:
        source = re.sub(r"[#*]", part, source, count=1)
    return source


def _listed(source: str) -> Iterator[str]:
    """Yield the names of a range of numbers, as in ``embeddings.{0-3}.weight``."""
    numbers = re.search(r"\{(\d+)-(\d+)\}", source)
    if numbers is None:
        yield source
        return
    for number in range(int(numbers[1]), int(numbers[2]) + 1):
        yield source[: numbers.start()] + str(number) + source[numbers.end() :]


def write_folder(
    folder: Path,
    tensors: Mapping[str, Tensor],
    texts: Mapping[str, str],
    progress: Progress,
) -> Path:
    """Write weights and the text files beside them; the folder appears when it is complete.

    Raises
    ------
    StorageError
        If there is no room, or the folder cannot be written or is there already.
    """
    if folder.exists():
        raise StorageError(f"{folder} is there already: choose it, or remove it first.")
    check_free_space(folder, sum(tensor.nbytes for tensor in tensors.values()), "The conversion")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(folder) as draft:
            draft.mkdir()
            for name, text in texts.items():
                (draft / name).write_text(text, encoding="utf-8")
            _write_tensors(draft / WEIGHTS, tensors, progress)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written ({error}).") from error
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

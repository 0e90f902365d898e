"""Which tensor of a published file becomes which tensor of the converted one."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ...storage import check_free_space
from ...values import DAMAGED, StorageError, WeightsError
from .. import without_triton  # noqa: F401  before torch or transformers are imported
from .checkpoints import WEIGHTS

Cut = Literal["whole", "query", "key", "value", "transposed", "patches", "rows"]
"""What is taken of the origin: all; a third of its rows; its transpose; all positions but the
first, where there is one more than patches; or the rows of several origins, below each other."""
THIRDS: tuple[Cut, ...] = ("query", "key", "value")
NUMBER, LEAF = "#", "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """Where the tensors of a pattern of names come from.

    ``#`` stands for a number and ``*`` for "weight" or "bias"; numbers are the same, in the same
    order, in the name of the origin.
    """

    target: str
    source: str
    cut: Cut = "whole"


@dataclass(frozen=True, slots=True)
class Origin:
    """The tensors of the published file that one converted tensor is made of."""

    names: tuple[str, ...]
    cut: Cut


def renamed(target: str, source: str, names: Mapping[str, str]) -> list[Rule]:
    """Give modules in a module other names; their weights and biases come along."""
    return [Rule(f"{target}.{new}.*", f"{source}.{old}.*") for new, old in names.items()]


def attention(target: str, source: str, out: str = "o_proj") -> list[Rule]:
    """Cut queries, keys and values out of one stacked projection."""
    thirds = [Rule(f"{target}.{cut[0]}_proj.*", f"{source}.in_proj_*", cut) for cut in THIRDS]
    return [*thirds, Rule(f"{target}.{out}.*", f"{source}.out_proj.*")]


def perceptron(target: str, source: str, depth: int) -> list[Rule]:
    """Give the layers of a perceptron names with numbers from 1, rather than numbers from 0."""
    return [
        Rule(f"{target}.layer{number + 1}.*", f"{source}.layers.{number}.*")
        for number in range(depth)
    ]


def head(target: str, source: str) -> list[Rule]:
    """Name the three layers of a perceptron by what they do."""
    names = {"proj_in": "layers.0", "layers.0": "layers.1", "proj_out": "layers.2"}
    return renamed(target, source, names)


def origin_of(name: str, rules: Sequence[Rule]) -> Origin | None:
    """Find where a converted tensor comes from."""
    for rule in rules:
        found = _pattern(rule.target).fullmatch(name)
        if found is None:
            continue
        return Origin(tuple(_listed(_filled(rule.source, found.groups()))), rule.cut)
    return None


def assembled(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    found: Mapping[str, Tensor],
    rules: Sequence[Rule],
    unused: Iterable[str] = (),
) -> dict[str, Tensor]:
    """Make every tensor that a model needs out of those of a published file.

    Parameters
    ----------
    path : Path
        The file, to speak of.
    shapes : mapping of str to tuple
        All that the model needs.
    found : mapping of str to Tensor
        All that the file holds.
    rules : sequence of Rule
        What becomes what; the first that fits counts.
    unused : iterable of str
        Patterns of names that are known to be of no use.

    Raises
    ------
    WeightsError
        If a tensor is missing, has another shape, or is not known.
    """
    origins = {name: origin_of(name, rules) for name in shapes}
    used = {name for origin in origins.values() if origin for name in origin.names}
    ignored = [re.compile(pattern) for pattern in unused]
    strange = {name for name in found.keys() - used if not any(one.match(name) for one in ignored)}
    _refuse(path, "lacks", sorted(used - found.keys()))
    _refuse(path, "lacks what is needed for", [name for name in origins if origins[name] is None])
    _refuse(path, "holds unknown", sorted(strange))
    made = {name: _made(origin, found, shapes[name]) for name, origin in origins.items() if origin}
    _refuse(path, "misshapes", [name for name in made if tuple(made[name].shape) != shapes[name]])
    return made


def _made(origin: Origin, found: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    tensors = [found[name] for name in origin.names]
    match origin.cut:
        case "query" | "key" | "value":
            thirds = tensors[0].tensor_split(3)
            return thirds[THIRDS.index(origin.cut)]
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
    """Put the numbers and the leaf of a name where the pattern of another has its own."""
    for part in parts:
        source = re.sub(r"[#*]", part, source, count=1)
    return source


def _listed(source: str) -> Iterator[str]:
    """Spell out a range of numbers, as in ``embeddings.{0-3}.weight``."""
    found = re.search(r"\{(\d+)-(\d+)\}", source)
    if found is None:
        yield source
        return
    for number in range(int(found[1]), int(found[2]) + 1):
        yield source[: found.start()] + str(number) + source[found.end() :]


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
    check_free_space(folder, sum(tensor.nbytes for tensor in tensors.values()), "The conversion")
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

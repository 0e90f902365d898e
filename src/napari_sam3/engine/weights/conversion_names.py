"""Which tensor of a published file becomes which tensor of the converted one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from .. import without_triton  # noqa: F401
from ..errors import WeightsError

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

"""Reading the embedded network from a file of weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import WeightsError
from .network import Network, fold_batchnorm

FORMAT = "napari-sam3 embedded 2"
CODE_REVISION = 1
"""Goes up whenever the code would embed the same image differently."""


def shipped_weights() -> Path:
    """Return where the weights lie that come with the package."""
    return Path(__file__).with_name("embedded.safetensors")


def load_network(path: Path) -> Network:
    """Read a network for inference, its batch normalisation folded away.

    Raises
    ------
    WeightsError
        If the file is missing, broken, or made for another network.
    """
    tensors = _read(path)
    network = Network()
    _check(path, tensors, network.state_dict())
    network.load_state_dict(tensors)
    fold_batchnorm(network).requires_grad_(False)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network


def weights_revision(path: Path) -> str:
    """Name this file's content together with the code that reads it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"embedded-{CODE_REVISION}-{digest[:12]}"


def _read(path: Path) -> dict[str, Tensor]:
    try:
        file = safe_open(path, framework="pt")
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read ({error}): {_ADVICE}") from error
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file ({error}): {_ADVICE}"
        ) from error
    with file:
        _check_format(path, file.metadata() or {})
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _check_format(path: Path, facts: dict[str, str]) -> None:
    found = facts.get("format", "nothing")
    if found != FORMAT:
        raise WeightsError(
            f"{path} says its format is {found!r}, this version reads {FORMAT!r}: {_ADVICE}"
        )


def _check(path: Path, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    missing = sorted(set(wanted) - set(found))
    unexpected = sorted(set(found) - set(wanted))
    pairs = {name: (wanted[name], found[name]) for name in wanted if name in found}
    misshapen = [name for name, (own, other) in pairs.items() if own.shape != other.shape]
    rounded = [name for name, pair in pairs.items() if _is_rounded(*pair)]
    spoiled = [name for name, (_, other) in pairs.items() if not other.isfinite().all()]
    problems = [
        ("lacks", missing),
        ("does not know", unexpected),
        ("misshapes", misshapen),
        ("holds whole numbers in", rounded),
        ("holds values that are no numbers in", spoiled),
    ]
    for verb, names in problems:
        if names:
            raise WeightsError(f"{path} {verb} {_listed(names)}: {_ADVICE}")


def _is_rounded(wanted: Tensor, found: Tensor) -> bool:
    return wanted.is_floating_point() and not found.is_floating_point()


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


_ADVICE = "choose another file, or reinstall napari-sam3 to get its own weights back."

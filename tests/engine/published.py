"""Tiny files in the layout that models are published in, made from converted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from napari_sam3.engine.weights.published import THIRDS, Rule, origin_of


def weights_of(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def as_published(tensors: Mapping[str, Tensor], rules: Sequence[Rule]) -> dict[str, Tensor]:
    """Undo a conversion."""
    made: dict[str, Tensor] = {}
    thirds: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        origin = origin_of(name, rules)
        assert origin is not None, name
        first = origin.names[0]
        match origin.cut:
            case "whole":
                made[first] = tensor
            case "transposed":
                made[first] = tensor.T.contiguous()
            case "patches":
                made[first] = torch.cat([torch.zeros_like(tensor[:, :1]), tensor], dim=1)
            case "rows":
                made.update(zip(origin.names, tensor.split(1), strict=True))
            case third:
                thirds.setdefault(first, {})[third] = tensor
    stacked = {name: torch.cat([one[cut] for cut in THIRDS]) for name, one in thirds.items()}
    return made | stacked

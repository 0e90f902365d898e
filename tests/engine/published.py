"""Tiny files in the layout that models are published in, made from converted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from napari_sam3.engine.weights.state_dicts import QKV, KeyRule, origin_of


def weights_of(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def as_published(tensors: Mapping[str, Tensor], rules: Sequence[KeyRule]) -> dict[str, Tensor]:
    """Undo a conversion."""
    published: dict[str, Tensor] = {}
    projections: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        origin = origin_of(name, rules)
        assert origin is not None, name
        first = origin.names[0]
        match origin.cut:
            case "whole":
                published[first] = tensor
            case "transposed":
                published[first] = tensor.T.contiguous()
            case "patches":
                published[first] = torch.cat([torch.zeros_like(tensor[:, :1]), tensor], dim=1)
            case "rows":
                published.update(zip(origin.names, tensor.split(1), strict=True))
            case cut:
                projections.setdefault(first, {})[cut] = tensor
    stacked = {name: torch.cat([cuts[cut] for cut in QKV]) for name, cuts in projections.items()}
    return published | stacked

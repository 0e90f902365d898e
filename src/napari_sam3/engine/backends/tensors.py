"""Tensors as arrays that NumPy and zarr know, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .base import Packed

BFLOAT16 = "bfloat16"
"""The fact that names the arrays whose 16 bits are a bfloat16, which NumPy does not know."""


def packed_tensors(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Packed:
    """Copy tensors into the main memory; those that are there already are not copied."""
    bfloat16 = [name for name, tensor in tensors.items() if tensor.dtype == torch.bfloat16]
    arrays = {
        name: (tensor.view(torch.uint16) if name in bfloat16 else tensor).cpu().numpy()
        for name, tensor in tensors.items()
    }
    return Packed(arrays, {**facts, BFLOAT16: bfloat16})


def unpacked_tensors(packed: Packed, device: str) -> dict[str, Tensor]:
    """Return tensors on a device; on the CPU they share the memory of the arrays."""
    bfloat16 = packed.facts[BFLOAT16]
    tensors = {name: torch.from_numpy(array) for name, array in packed.arrays.items()}
    return {
        name: (tensor.view(torch.bfloat16) if name in bfloat16 else tensor).to(device)
        for name, tensor in tensors.items()
    }


def packed_shape(packed: Packed) -> tuple[int, int]:
    """Return the height and the width of the image, which packed embeddings name as a fact."""
    height, width = packed.facts["shape"]
    return height, width

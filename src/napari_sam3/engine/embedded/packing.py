"""The pyramid of the embedded network as plain arrays."""

from __future__ import annotations

from ..cache.packing import Packed
from ..cache.packing_tensors import packed_tensors, unpacked_tensors
from .levels import Level
from .pyramid import Pyramid

PARTS = ("fine", "coarse", "dense")


def packed_pyramid(pyramid: Pyramid) -> Packed:
    """Pack an image and its levels."""
    tensors = {"image": pyramid.image}
    for number, level in enumerate(pyramid.levels):
        tensors |= {f"{part}{number}": getattr(level, part) for part in PARTS}
    return packed_tensors(tensors, {"scales": [level.scale for level in pyramid.levels]})


def unpacked_pyramid(packed: Packed, device: str) -> Pyramid:
    """Return the pyramid that was packed."""
    tensors = unpacked_tensors(packed, device)
    levels = tuple(
        Level(scale, *(tensors[f"{part}{number}"] for part in PARTS))
        for number, scale in enumerate(packed.facts["scales"])
    )
    return Pyramid(tensors["image"], levels)

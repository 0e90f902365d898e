"""One level of the pyramid on which the embedded network sees an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..devices import abilities
from .crops import Crop
from .features import COARSE_STRIDE, CROP, FINE_STRIDE, MULTIPLE, Features
from .network import Network

TILE = 1024
"""Side of the square that is encoded at once, without its halo, in pixels."""
HALO = 128
"""How much of the surroundings is encoded with a tile and thrown away, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """What the network sees of the image at one scale."""

    scale: float  # pixels of the level per pixel of the image
    fine: Tensor  # (32, h / 2, w / 2) float16
    coarse: Tensor  # (64, h / 4, w / 4) float16
    dense: Tensor  # (3, h / 2, w / 2) float16 logits of foreground, centre distance, boundary

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return sum(int(part.nbytes) for part in (self.fine, self.coarse, self.dense))

    def cut(self, crop: Crop) -> Features:
        """Cut a crop out; zero where it leaves the level."""
        return Features(
            _cut(self.fine, crop, FINE_STRIDE),
            _cut(self.coarse, crop, COARSE_STRIDE),
            _cut(self.dense, crop, FINE_STRIDE),
        )


def _cut(features: Tensor, crop: Crop, stride: int) -> Tensor:
    side = CROP // stride
    rows, cols = features.shape[-2:]
    top, left = crop.row // stride, crop.col // stride
    bottom, right = top + side, left + side
    part = features[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    missing = (max(-left, 0), max(right - cols, 0), max(-top, 0), max(bottom - rows, 0))
    return F.pad(part, [min(amount, side) for amount in missing]) if any(missing) else part


def encode_levels(network: Network, images: Tensor, scale: float) -> list[Level]:
    """Encode images at one scale, (B, 3, h, w) in 0..1, in tiles where they are large."""
    levels = [_empty_level(image, scale) for image in images]
    for rows_span in _spans(int(images.shape[-2])):
        for cols_span in _spans(int(images.shape[-1])):
            _encode_tiles(network, images, levels, (rows_span, cols_span))
    return levels


def _empty_level(image: Tensor, scale: float) -> Level:
    rows, cols = (-(-int(size) // COARSE_STRIDE) for size in image.shape[-2:])
    fine = image.new_empty((32, rows * 2, cols * 2), dtype=torch.float16)
    coarse = image.new_empty((64, rows, cols), dtype=torch.float16)
    dense = image.new_empty((3, rows * 2, cols * 2), dtype=torch.float16)
    return Level(scale, fine, coarse, dense)


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a tile and its halo lie along one axis, in pixels; all multiples of 16 but the end."""

    start: int
    stop: int
    seen_start: int
    seen_stop: int


def _spans(size: int) -> list[_Span]:
    if size <= 2 * TILE:
        return [_Span(0, size, 0, size)]
    starts = range(0, size, TILE)
    return [
        _Span(start, min(start + TILE, size), max(start - HALO, 0), min(start + TILE + HALO, size))
        for start in starts
    ]


def _encode_tiles(
    network: Network, images: Tensor, levels: Sequence[Level], spans: tuple[_Span, _Span]
) -> None:
    rows, cols = spans
    seen = images[..., rows.seen_start : rows.seen_stop, cols.seen_start : cols.seen_stop]
    for level, *parts in zip(levels, *encode_padded(network, seen), strict=True):
        for source, target, stride in (
            (parts[0], level.fine, FINE_STRIDE),
            (parts[1], level.coarse, COARSE_STRIDE),
            (parts[2], level.dense, FINE_STRIDE),
        ):
            top, bottom = _strided(rows.start, rows.stop, stride)
            left, right = _strided(cols.start, cols.stop, stride)
            row, col = rows.seen_start // stride, cols.seen_start // stride
            part = source[:, top - row : bottom - row, left - col : right - col]
            target[:, top:bottom, left:right] = part


def _strided(start: int, stop: int, stride: int) -> tuple[int, int]:
    cells = -(-stop // COARSE_STRIDE) * (COARSE_STRIDE // stride)
    return start // stride, cells


def encode_padded(network: Network, images: Tensor) -> Features:
    """Encode images (B, 3, h, w) of any size; the features are those of whole multiples of 16."""
    height, width = images.shape[-2:]
    missing = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
    is_short = arithmetic(images.device) == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, is_short):
        return network.encode(F.pad(images, missing, mode="replicate"))


def arithmetic(device: torch.device | str) -> Literal["bfloat16", "float32"]:
    """Name the numbers an encoder calculates with: short ones where a processor is built for it."""
    if torch.device(device).type != "cpu":
        return "float32"
    known = abilities()
    return "bfloat16" if known.get("avx512_bf16") or known.get("amx_bf16") else "float32"

"""The pyramid of levels on which the embedded network sees an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...devices import compute_dtype
from .network import COARSE_STRIDE, CROP, FINE_STRIDE, MULTIPLE, Features, Network

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of ``CROP`` pixels of one level.

    Levels are powers of two apart and share the image's upper left corner, so that every border
    of a crop is a border between pixels of the image.
    """

    scale: float  # pixels of the level per pixel of the image
    row: int  # of the crop's first pixel, on the level; a multiple of 4, may be negative
    col: int

    @classmethod
    def around(cls, row: float, col: float, scale: float) -> Self:
        """Put a crop around a place of the image, (row, col) in its pixels."""
        corner = [((place + 0.5) * scale - CROP / 2) / COARSE_STRIDE for place in (row, col)]
        return cls(scale, round(corner[0]) * COARSE_STRIDE, round(corner[1]) * COARSE_STRIDE)

    @property
    def side(self) -> int:
        """Pixels of the image along one side."""
        return int(CROP / self.scale)

    @property
    def origin(self) -> tuple[int, int]:
        """First row and column on the image, may be negative."""
        return int(self.row / self.scale), int(self.col / self.scale)

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn points of the image, (N, 2), into points of the crop."""
        return (points + 0.5) * self.scale - 0.5 - np.array([self.row, self.col])

    def box(self, box: NDArray[np.float64]) -> Corners:
        """Turn a box of the image, (4,), into one of the crop."""
        row0, col0, row1, col1 = self.points(box.reshape(2, 2)).ravel().tolist()
        return row0, col0, row1, col1

    def holds(self, points: NDArray[np.float64], margin: float = 0.0) -> bool:
        """Whether all points of the image, (N, 2), are on the crop, so far from its border."""
        places = self.points(points)
        return bool(((places >= margin - 0.5) & (places <= CROP - 0.5 - margin)).all())

    def window(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the part of an image (H, W) that the crop covers."""
        spans = [
            slice(min(max(first, 0), size), min(max(first + self.side, 0), size))
            for first, size in zip(self.origin, shape, strict=True)
        ]
        return spans[0], spans[1]

    def inside(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the same part in pixels of the image counted from the crop's corner."""
        rows, cols = self.window(shape)
        top, left = self.origin
        return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)

    def cut(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Cut a mask (H, W) of the image out, (112, 112): the share of each pixel it covers."""
        whole = np.zeros((self.side, self.side), np.float32)
        whole[self.inside(_shape(mask))] = mask[self.window(_shape(mask))]
        if self.scale > 1:
            return whole.repeat(int(self.scale), 0).repeat(int(self.scale), 1)
        step = int(1 / self.scale)
        return whole.reshape(CROP, step, CROP, step).mean((1, 3), dtype=np.float32)

    def spread(
        self, logits: NDArray[np.float32], shape: tuple[int, int]
    ) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """Bring logits (56, 56) to an image (H, W): where they are positive, and values there."""
        cell = int(2 / self.scale)
        inside = logits > 0
        cells = [_span(np.flatnonzero(inside.any(axis)), len(inside)) for axis in (1, 0)]
        source = torch.from_numpy(logits[cells[0], cells[1]])[None, None]
        if not source.numel():
            return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32)
        wide = source
        if cell > 1:
            wide = F.interpolate(source, scale_factor=cell, mode="bilinear", align_corners=False)
        window, parts = [], []
        for first, span, size in zip(self.origin, cells, shape, strict=True):
            start, stop = first + span.start * cell, first + span.stop * cell
            window.append(slice(min(max(start, 0), size), min(max(stop, 0), size)))
            parts.append(slice(window[-1].start - start, window[-1].stop - start))
        return (window[0], window[1]), wide[0, 0].numpy()[parts[0], parts[1]]


def _span(used: NDArray[np.int64], count: int) -> slice:
    """Return the cells from the first used one to the last, with one more on either side."""
    if not len(used):
        return slice(0, 0)
    return slice(max(int(used[0]) - 1, 0), min(int(used[-1]) + 2, count))


def _shape(mask: NDArray[np.bool_]) -> tuple[int, int]:
    return mask.shape[0], mask.shape[1]


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
    is_short = compute_dtype(images.device) == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, is_short):
        return network.encode(F.pad(images, missing, mode="replicate"))


SMALLEST = 96
"""An image whose longer side fits into this gets no coarser level."""
ZOOM = 2.0
"""The one scale finer than the image; it is encoded where it is needed and not kept."""
PATCH = 256
"""Side of what is encoded around a crop of that scale: the crop and a halo of 72 pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Pyramid:
    """What the network sees of one image at all scales."""

    image: Tensor  # (3, H, W) float16 in 0..1
    levels: tuple[Level, ...]  # scales 1, 1/2, 1/4, ...

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return int(self.image.nbytes) + sum(level.nbytes for level in self.levels)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return int(self.image.shape[1]), int(self.image.shape[2])

    @property
    def scales(self) -> list[float]:
        """All scales there are, finest first."""
        return list(dict.fromkeys([ZOOM, *(level.scale for level in self.levels)]))

    def fitting_scale(self, size: float, pixels: float) -> float:
        """Return the scale that shows something of this size nearest to so many pixels large."""
        return min(self.scales, key=lambda scale: abs(np.log(max(size, 1) * scale / pixels)))

    def with_zoom(self, network: Network) -> Self:
        """Return the same pyramid with the finest scale kept, for many crops of it."""
        return replace(self, levels=(zoomed_level(network, self), *self.levels))

    def cut(self, network: Network, crops: Sequence[Crop]) -> Features:
        """Cut crops of any scales out, float16, with the crops along the first axis."""
        kept = {level.scale: level for level in self.levels}
        zoomed = iter(self._zoom(network, [crop for crop in crops if crop.scale not in kept]))
        parts = [
            kept[crop.scale].cut(crop) if crop.scale in kept else next(zoomed) for crop in crops
        ]
        return Features(*map(torch.stack, zip(*parts, strict=True)))

    def _zoom(self, network: Network, crops: Sequence[Crop]) -> list[Features]:
        """Cut crops of the finest scale out, encoding no more of it than they need."""
        height, width = self.shape
        if len(crops) * PATCH**2 > ZOOM**2 * height * width:
            level = zoomed_level(network, self)
            return [level.cut(crop) for crop in crops]
        return _cut_patches(network, self.image, crops) if crops else []


def encode_pyramids(
    network: Network, images: Sequence[NDArray[np.float32]], device: str
) -> list[Pyramid]:
    """Encode images (H, W, 3) in 0..1 at all scales that are kept, those of one shape together."""
    if len({image.shape for image in images}) > 1:
        return [encode_pyramids(network, [image], device)[0] for image in images]
    stack = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).contiguous()
    by_scale = [encode_levels(network, small, scale) for scale, small in _halvings(stack)]
    return [
        Pyramid(picture.half(), levels)
        for picture, levels in zip(stack, zip(*by_scale, strict=True), strict=True)
    ]


def zoomed_level(network: Network, pyramid: Pyramid) -> Level:
    """Encode the whole image at the finest scale."""
    return encode_levels(network, _doubled(pyramid.image)[None], ZOOM)[0]


def _halvings(images: Tensor) -> Iterator[tuple[float, Tensor]]:
    """Yield the images (B, 3, H, W) at scales 1, 1/2, 1/4 ... until they fit into one crop."""
    scale = 1.0
    yield scale, images
    while max(images.shape[-2:]) > SMALLEST:
        images = F.avg_pool2d(images, 2, ceil_mode=True)
        scale /= 2
        yield scale, images


def _doubled(image: Tensor) -> Tensor:
    wide = F.interpolate(
        image[None].float(), scale_factor=ZOOM, mode="bilinear", align_corners=False
    )
    return wide[0]


def _cut_patches(network: Network, image: Tensor, crops: Sequence[Crop]) -> list[Features]:
    corners = [_patch_corner(crop, image) for crop in crops]
    features = encode_padded(network, torch.stack([_patch(image, at) for at in corners]))
    fine, coarse, dense = (part.half() for part in features)
    return [
        Level(ZOOM, fine[n], coarse[n], dense[n]).cut(Crop(ZOOM, crop.row - row, crop.col - col))
        for n, (crop, (row, col)) in enumerate(zip(crops, corners, strict=True))
    ]


def _patch_corner(crop: Crop, image: Tensor) -> tuple[int, int]:
    """Where a patch around a crop starts: on the grid of the encoder and inside the level."""
    corner = []
    for first, size in zip((crop.row, crop.col), image.shape[-2:], strict=True):
        last = _whole(int(size * ZOOM)) - PATCH
        start = min(first - (PATCH - CROP) // 2, last)
        corner.append(max(start, 0) // MULTIPLE * MULTIPLE)
    return corner[0], corner[1]


def _patch(image: Tensor, corner: tuple[int, int]) -> Tensor:
    row, col = (int(start / ZOOM) for start in corner)
    side = int(PATCH / ZOOM)
    patch = _doubled(image[:, row : row + side, col : col + side])
    wanted = [min(PATCH, _whole(int(size * ZOOM))) for size in image.shape[-2:]]
    missing = [0, wanted[1] - int(patch.shape[-1]), 0, wanted[0] - int(patch.shape[-2])]
    return F.pad(patch, missing, mode="replicate")


def _whole(size: int) -> int:
    """Next multiple of what the encoder needs."""
    return -(-size // MULTIPLE) * MULTIPLE

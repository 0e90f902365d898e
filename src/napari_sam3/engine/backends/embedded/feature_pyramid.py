"""The feature pyramid of an image: what the embedded network has encoded at several scales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ....values import Corners
from ...devices import compute_dtype
from .network import COARSE_STRIDE, CROP, FINE_STRIDE, SIZE_MULTIPLE, Features, Network

ZOOM = 2.0
"""The only scale finer than the image; it is encoded where it is needed and not kept."""
SMALLEST = 96
"""An image whose longer side fits into this gets no coarser level."""
TILE = 1024
"""Side of the square that is encoded at once, without its halo, in pixels."""
HALO = 128
"""How much of the surroundings is encoded with a tile and thrown away, in pixels."""
PATCH = 256
"""Side of what is encoded around a crop of the finest scale: the crop and a halo of 72 pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class FeaturePyramid:
    """What the network has encoded of one image at all scales."""

    image: Tensor  # (3, H, W) float16 in 0..1
    levels: tuple[FeatureLevel, ...]  # scales 1, 1/2, 1/4, ...

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
        """Return the scale on which an object of this size is nearest to so many pixels large."""
        return min(self.scales, key=lambda scale: abs(np.log(max(size, 1) * scale / pixels)))

    def with_zoom(self, network: Network) -> Self:
        """Return the same pyramid with the finest scale kept, for many crops of it."""
        return replace(self, levels=(zoomed_level(network, self), *self.levels))

    def cut_crops(self, network: Network, crops: Sequence[Crop]) -> Features:
        """Cut crops of any scales out, float16, with the crops along the first axis."""
        kept = {level.scale: level for level in self.levels}
        zoomed = iter(self._zoom(network, [crop for crop in crops if crop.scale not in kept]))
        features = [
            kept[crop.scale].cut_crop(crop) if crop.scale in kept else next(zoomed)
            for crop in crops
        ]
        return Features(*map(torch.stack, zip(*features, strict=True)))

    def _zoom(self, network: Network, crops: Sequence[Crop]) -> list[Features]:
        """Cut crops of the finest scale out, encoding no more of it than they need."""
        height, width = self.shape
        if len(crops) * PATCH**2 > ZOOM**2 * height * width:
            level = zoomed_level(network, self)
            return [level.cut_crop(crop) for crop in crops]
        return _encode_patches(network, self.image, crops) if crops else []


@dataclass(frozen=True, slots=True, eq=False)
class FeatureLevel:
    """What the network has encoded of the image at one scale."""

    scale: float  # pixels of the level per pixel of the image
    fine: Tensor  # (32, h / 2, w / 2) float16
    coarse: Tensor  # (64, h / 4, w / 4) float16
    dense: Tensor  # (3, h / 2, w / 2) float16 logits of foreground, centre distance, boundary

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return sum(int(part.nbytes) for part in (self.fine, self.coarse, self.dense))

    def cut_crop(self, crop: Crop) -> Features:
        """Cut a crop out; zero where it leaves the level."""
        return Features(
            _cut_features(self.fine, crop, FINE_STRIDE),
            _cut_features(self.coarse, crop, COARSE_STRIDE),
            _cut_features(self.dense, crop, FINE_STRIDE),
        )


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
        """Return the crop with a point of the image, (row, col) in its pixels, in the middle."""
        corner = [((middle + 0.5) * scale - CROP / 2) / COARSE_STRIDE for middle in (row, col)]
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
        """Turn a box of the image, (4,), into a box of the crop."""
        row0, col0, row1, col1 = self.points(box.reshape(2, 2)).ravel().tolist()
        return row0, col0, row1, col1

    def contains(self, points: NDArray[np.float64], margin: float = 0.0) -> bool:
        """Tell whether points of the image, (N, 2), are on the crop, so far from its border."""
        own = self.points(points)
        return bool(((own >= margin - 0.5) & (own <= CROP - 0.5 - margin)).all())

    def on_image(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return rows and columns of an image (H, W) that are on the crop."""
        spans = [
            slice(min(max(first, 0), size), min(max(first + self.side, 0), size))
            for first, size in zip(self.origin, shape, strict=True)
        ]
        return spans[0], spans[1]

    def from_origin(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the same rows and columns, counted from the origin of the crop."""
        rows, cols = self.on_image(shape)
        top, left = self.origin
        return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)

    def cut_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Cut a mask (H, W) of the image out, (112, 112): the share of each pixel inside it."""
        height, width = mask.shape
        pixels = np.zeros((self.side, self.side), np.float32)
        pixels[self.from_origin((height, width))] = mask[self.on_image((height, width))]
        if self.scale > 1:
            return pixels.repeat(int(self.scale), 0).repeat(int(self.scale), 1)
        step = int(1 / self.scale)
        return pixels.reshape(CROP, step, CROP, step).mean((1, 3), dtype=np.float32)

    def upscale_logits(
        self, logits: NDArray[np.float32], shape: tuple[int, int]
    ) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """Return the part of an image (H, W) where logits (56, 56) are positive, and logits there.

        Returns
        -------
        tuple of slice
            Rows and columns of the image.
        (h, w) float32
            The logits of its pixels.
        """
        cell = int(2 / self.scale)
        inside = logits > 0
        cells = [_padded_span(np.flatnonzero(inside.any(axis)), len(inside)) for axis in (1, 0)]
        source = torch.from_numpy(logits[cells[0], cells[1]])[None, None]
        if not source.numel():
            return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32)
        wide = source
        if cell > 1:
            wide = F.interpolate(source, scale_factor=cell, mode="bilinear", align_corners=False)
        on_image, on_wide = [], []
        for first, span, size in zip(self.origin, cells, shape, strict=True):
            start, stop = first + span.start * cell, first + span.stop * cell
            on_image.append(slice(min(max(start, 0), size), min(max(stop, 0), size)))
            on_wide.append(slice(on_image[-1].start - start, on_image[-1].stop - start))
        return (on_image[0], on_image[1]), wide[0, 0].numpy()[on_wide[0], on_wide[1]]


def encode_pyramids(
    network: Network, images: Sequence[NDArray[np.float32]], device: str
) -> list[FeaturePyramid]:
    """Encode images (H, W, 3) in 0..1 at all scales that are kept, those of one shape together."""
    if len({image.shape for image in images}) > 1:
        return [encode_pyramids(network, [image], device)[0] for image in images]
    stack = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).contiguous()
    by_scale = [_encode_levels(network, small, scale) for scale, small in _halvings(stack)]
    return [
        FeaturePyramid(image.half(), levels)
        for image, levels in zip(stack, zip(*by_scale, strict=True), strict=True)
    ]


def zoomed_level(network: Network, pyramid: FeaturePyramid) -> FeatureLevel:
    """Encode the whole image at the finest scale."""
    return _encode_levels(network, _doubled(pyramid.image)[None], ZOOM)[0]


def _halvings(images: Tensor) -> Iterator[tuple[float, Tensor]]:
    """Yield the images (B, 3, H, W) at scales 1, 1/2, 1/4 ... until they fit into one crop."""
    scale = 1.0
    yield scale, images
    while max(images.shape[-2:]) > SMALLEST:
        images = F.avg_pool2d(images, 2, ceil_mode=True)
        scale /= 2
        yield scale, images


def _encode_levels(network: Network, images: Tensor, scale: float) -> list[FeatureLevel]:
    """Encode images at one scale, (B, 3, h, w) in 0..1, in tiles where they are large."""
    levels = [_empty_level(image, scale) for image in images]
    for rows in _tile_spans(int(images.shape[-2])):
        for cols in _tile_spans(int(images.shape[-1])):
            _encode_tile(network, images, levels, (rows, cols))
    return levels


def _empty_level(image: Tensor, scale: float) -> FeatureLevel:
    rows, cols = (-(-int(size) // COARSE_STRIDE) for size in image.shape[-2:])
    fine = image.new_empty((32, rows * 2, cols * 2), dtype=torch.float16)
    coarse = image.new_empty((64, rows, cols), dtype=torch.float16)
    dense = image.new_empty((3, rows * 2, cols * 2), dtype=torch.float16)
    return FeatureLevel(scale, fine, coarse, dense)


@dataclass(frozen=True, slots=True)
class _TileSpan:
    """Where a tile and its halo lie along one axis, in pixels; all multiples of 16 but the end."""

    start: int
    stop: int
    halo_start: int
    halo_stop: int


def _tile_spans(size: int) -> list[_TileSpan]:
    if size <= 2 * TILE:
        return [_TileSpan(0, size, 0, size)]
    return [
        _TileSpan(
            start, min(start + TILE, size), max(start - HALO, 0), min(start + TILE + HALO, size)
        )
        for start in range(0, size, TILE)
    ]


def _encode_tile(
    network: Network,
    images: Tensor,
    levels: Sequence[FeatureLevel],
    spans: tuple[_TileSpan, _TileSpan],
) -> None:
    """Encode a tile of several images, and write its features into their levels."""
    rows, cols = spans
    tiles = images[..., rows.halo_start : rows.halo_stop, cols.halo_start : cols.halo_stop]
    for level, fine, coarse, dense in zip(levels, *_encode_padded(network, tiles), strict=True):
        for source, target, stride in (
            (fine, level.fine, FINE_STRIDE),
            (coarse, level.coarse, COARSE_STRIDE),
            (dense, level.dense, FINE_STRIDE),
        ):
            top, bottom = _strided(rows.start, rows.stop, stride)
            left, right = _strided(cols.start, cols.stop, stride)
            row, col = rows.halo_start // stride, cols.halo_start // stride
            part = source[:, top - row : bottom - row, left - col : right - col]
            target[:, top:bottom, left:right] = part


def _strided(start: int, stop: int, stride: int) -> tuple[int, int]:
    """Return the cells of a stride that pixels lie in."""
    cells = -(-stop // COARSE_STRIDE) * (COARSE_STRIDE // stride)
    return start // stride, cells


def _encode_padded(network: Network, images: Tensor) -> Features:
    """Encode images (B, 3, h, w) of any size, padded to multiples of 16."""
    height, width = images.shape[-2:]
    padding = (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE)
    is_bfloat16 = compute_dtype(images.device) == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, is_bfloat16):
        return network.encode(F.pad(images, padding, mode="replicate"))


def _cut_features(features: Tensor, crop: Crop, stride: int) -> Tensor:
    """Cut a crop out of features (C, h, w); zero where it leaves them."""
    side = CROP // stride
    rows, cols = features.shape[-2:]
    top, left = crop.row // stride, crop.col // stride
    bottom, right = top + side, left + side
    part = features[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    missing = (max(-left, 0), max(right - cols, 0), max(-top, 0), max(bottom - rows, 0))
    return F.pad(part, [min(amount, side) for amount in missing]) if any(missing) else part


def _padded_span(used: NDArray[np.int64], count: int) -> slice:
    """Return the cells from the first used to the last used, with one more on either side."""
    if not len(used):
        return slice(0, 0)
    return slice(max(int(used[0]) - 1, 0), min(int(used[-1]) + 2, count))


def _doubled(image: Tensor) -> Tensor:
    wide = F.interpolate(
        image[None].float(), scale_factor=ZOOM, mode="bilinear", align_corners=False
    )
    return wide[0]


def _encode_patches(network: Network, image: Tensor, crops: Sequence[Crop]) -> list[Features]:
    """Encode patches of the finest scale around crops, and cut the crops out of them."""
    corners = [_patch_corner(crop, image) for crop in crops]
    features = _encode_padded(network, torch.stack([_patch(image, corner) for corner in corners]))
    fine, coarse, dense = (part.half() for part in features)
    return [
        FeatureLevel(ZOOM, fine[n], coarse[n], dense[n]).cut_crop(
            Crop(ZOOM, crop.row - row, crop.col - col)
        )
        for n, (crop, (row, col)) in enumerate(zip(crops, corners, strict=True))
    ]


def _patch_corner(crop: Crop, image: Tensor) -> tuple[int, int]:
    """Where a patch around a crop starts: on the grid of the encoder and inside the level."""
    corner = []
    for first, size in zip((crop.row, crop.col), image.shape[-2:], strict=True):
        last = _next_multiple(int(size * ZOOM)) - PATCH
        start = min(first - (PATCH - CROP) // 2, last)
        corner.append(max(start, 0) // SIZE_MULTIPLE * SIZE_MULTIPLE)
    return corner[0], corner[1]


def _patch(image: Tensor, corner: tuple[int, int]) -> Tensor:
    """Return a patch of an image (3, H, W) at the finest scale, from a corner on."""
    row, col = (int(start / ZOOM) for start in corner)
    side = int(PATCH / ZOOM)
    patch = _doubled(image[:, row : row + side, col : col + side])
    height, width = (min(PATCH, _next_multiple(int(size * ZOOM))) for size in image.shape[-2:])
    missing = [0, width - int(patch.shape[-1]), 0, height - int(patch.shape[-2])]
    return F.pad(patch, missing, mode="replicate")


def _next_multiple(size: int) -> int:
    """Next multiple of what the encoder needs."""
    return -(-size // SIZE_MULTIPLE) * SIZE_MULTIPLE

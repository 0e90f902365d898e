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

from .crops import Crop
from .features import CROP, MULTIPLE, Features
from .levels import Level, encode_levels, encode_padded
from .network import Network

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

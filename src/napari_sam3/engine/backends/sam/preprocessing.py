"""From an image to the square that a model of the SAM family encodes, and to its features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ...progress import advance


@dataclass(frozen=True, slots=True)
class Normalisation:
    """The mean and standard deviation of red, green and blue in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


SAM3_NORMALISATION = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET_NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""That of SAM 1, SAM 2.1 and EdgeTAM."""


@dataclass(frozen=True, slots=True)
class Resizing:
    """How an image is resized to the square of a model, whose upper left corner it keeps.

    Coordinates are multiplied only, as the models' own processors do: a click on the centre of
    the pixel (0, 0) is the point (0, 0) of the square. The models add half a pixel of the square.
    """

    shape: tuple[int, int]  # (H, W) of the image
    side: int  # of the square, in pixels
    size: tuple[int, int]  # (rows, cols) of the square that the image fills; the rest is padding

    @classmethod
    def to_square(cls, shape: tuple[int, int], side: int) -> Self:
        """Fill the whole square with an image (H, W), whatever its proportions."""
        return cls(shape, side, (side, side))

    @classmethod
    def longest_side(cls, shape: tuple[int, int], side: int) -> Self:
        """Keep the proportions of an image (H, W); its longest side fills the square."""
        factor = side / max(shape)
        rows, cols = (max(int(length * factor + 0.5), 1) for length in shape)
        return cls(shape, side, (rows, cols))

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float32]:
        """Turn (row, col) in pixels of the image, (N, 2), into (x, y) in pixels of the square.

        Points outside of the image are moved to its border.
        """
        size = np.array(self.size)
        inside = np.clip(points * size / self.shape, 0, size - 1)
        return np.ascontiguousarray(inside[:, ::-1], np.float32)

    def unpadded(self, side: int) -> tuple[int, int]:
        """Rows and columns that the image fills of a feature map or mask with this side."""
        rows, cols = (max(round(length * side / self.side), 1) for length in self.size)
        return rows, cols


def preprocess(
    image: NDArray[np.float32], resizing: Resizing, normalisation: Normalisation, device: str
) -> Tensor:
    """Resize, normalise and pad an image, (H, W, 3) in 0..1, to the square, (1, 3, side, side)."""
    resized_on = "cpu" if device == "mps" else device  # not every version has antialiasing on mps
    pixels = torch.from_numpy(image.astype(np.float32, order="C")).to(resized_on)
    resized = F.interpolate(
        pixels.permute(2, 0, 1)[None],
        size=resizing.size,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    mean = torch.tensor(normalisation.mean, device=resized_on)[:, None, None]
    std = torch.tensor(normalisation.std, device=resized_on)[:, None, None]
    rows, cols = resizing.size
    padding = (0, resizing.side - cols, 0, resizing.side - rows)
    return F.pad((resized - mean) / std, padding).to(device)


@dataclass(frozen=True, slots=True, eq=False)
class FeaturePyramid:
    """The features of one image that the mask decoder and the tracker read.

    ``g`` is the side of the coarse level; the encoder divides the image into g x g patches.
    """

    fine: Tensor  # (1, 32, 4g, 4g), projected for the mask decoder
    middle: Tensor  # (1, 64, 2g, 2g), projected for the mask decoder
    coarse: Tensor  # (1, 256, g, g), without the embedding that stands for no memory
    positional_encoding: Tensor  # (1, 256, g, g) of the coarse level, the same for all images
    shape: tuple[int, int]  # (H, W) of the image


def report_layers(layers: Iterable[nn.Module]) -> None:
    """Let each of these layers report, before it is called, how many of them are done."""
    hooked = list(layers)
    for done, layer in enumerate(hooked):
        layer.register_forward_pre_hook(partial(_report, done, len(hooked)))


def _report(done: int, total: int, *_: object) -> None:
    advance(done, total)

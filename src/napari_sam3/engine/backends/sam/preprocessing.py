"""How an image becomes the square that a model of the SAM family looks at."""

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
class Colours:
    """What a model takes from the red, green and blue of an image, and divides them by."""

    mean: tuple[float, float, float]  # of values in 0..1
    spread: tuple[float, float, float]


CENTRED = Colours((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""The colours of SAM 3."""
IMAGENET = Colours((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""The colours of SAM 1, SAM 2.1 and EdgeTAM."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Where an image lies on the square of a model: in its upper left corner, resized.

    Coordinates are multiplied only, as the models' own processors do: a click on the centre of
    the pixel (0, 0) is the point (0, 0) of the square. The models add half a pixel of the square.
    """

    shape: tuple[int, int]  # (H, W) of the image
    side: int  # of the square, in pixels
    size: tuple[int, int]  # (rows, cols) of the square that the image fills

    @classmethod
    def resized(cls, shape: tuple[int, int], side: int) -> Self:
        """Fill the whole square with an image (H, W), whatever its proportions."""
        return cls(shape, side, (side, side))

    @classmethod
    def fitted(cls, shape: tuple[int, int], side: int) -> Self:
        """Keep the proportions of an image (H, W); its longer edge fills the square."""
        factor = side / max(shape)
        rows, cols = (max(int(length * factor + 0.5), 1) for length in shape)
        return cls(shape, side, (rows, cols))

    def points(self, places: NDArray[np.float64]) -> NDArray[np.float32]:
        """Turn (row, col) in pixels of the image, (N, 2), into (x, y) in pixels of the square.

        What lies outside of the image is moved to its border.
        """
        size = np.array(self.size)
        inside = np.clip(places * size / self.shape, 0, size - 1)
        return np.ascontiguousarray(inside[:, ::-1], np.float32)

    def filled(self, side: int) -> tuple[int, int]:
        """Rows and columns that the image fills of a map of the square with this side."""
        rows, cols = (max(round(length * side / self.side), 1) for length in self.size)
        return rows, cols


def pixel_values(
    image: NDArray[np.float32], scaling: Scaling, colours: Colours, device: str
) -> Tensor:
    """Resize and normalize an image, (H, W, 3) in 0..1, to the square, (1, 3, side, side)."""
    place = "cpu" if device == "mps" else device  # not every version can resize like this on mps
    pixels = torch.from_numpy(image.astype(np.float32, order="C")).to(place)
    resized = F.interpolate(
        pixels.permute(2, 0, 1)[None],
        size=scaling.size,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    mean = torch.tensor(colours.mean, device=place)[:, None, None]
    spread = torch.tensor(colours.spread, device=place)[:, None, None]
    rows, cols = scaling.size
    margins = (0, scaling.side - cols, 0, scaling.side - rows)
    return F.pad((resized - mean) / spread, margins).to(device)


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """What the prompt decoder and the tracker see of one image.

    ``g`` is the side of the coarse map; the encoder divides the image into g x g patches.
    """

    fine: Tensor  # (1, 32, 4g, 4g), projected for the mask decoder
    middle: Tensor  # (1, 64, 2g, 2g), projected for the mask decoder
    coarse: Tensor  # (1, 256, g, g), without the embedding that stands for no memory
    position: Tensor  # (1, 256, g, g) position encoding of the coarse map, the same for all images
    shape: tuple[int, int]  # (H, W) of the image


def tell_steps(layers: Iterable[nn.Module]) -> None:
    """Let each of these layers say, before it is called, how many of them are done."""
    steps = list(layers)
    for done, layer in enumerate(steps):
        layer.register_forward_pre_hook(partial(_tell, done, len(steps)))


def _tell(done: int, total: int, *_: object) -> None:
    advance(done, total)

"""The microscope of the samples: what light becomes in an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OFFSET = 100  # counts the camera adds to every pixel
GAIN = 2.2  # counts per photon
READ_NOISE = 3.0  # counts, standard deviation

LayerData = tuple[Any, dict[str, Any], str]
"""Pixels, settings and kind of a layer, as napari takes them from File > Open Sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A synthetic stack and its ground truth."""

    image: NDArray[np.uint16]  # (F, H, W), camera counts
    labels: NDArray[np.uint16]  # (F, H, W), 0 is background, an object keeps its value


def photograph(light: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Turn photons per pixel, of any shape, into camera counts."""
    photons = rng.poisson(light)
    counts = OFFSET + GAIN * photons + rng.normal(0, READ_NOISE, light.shape)
    return np.clip(counts, 0, 65535).astype(np.uint16)


def haze(light: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return the light of a frame, (H, W), that is scattered far from its source."""
    coarse = ndimage.gaussian_filter(light[::4, ::4], sigma / 4, mode="nearest")
    return ndimage.zoom(coarse, 4, order=1, mode="nearest", grid_mode=True)


def illumination(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return how strongly each pixel of a frame (H, W) is lit: 1 near the centre, less outside."""
    rows, cols = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    distance = (rows[:, None] - 0.2) ** 2 + (cols[None, :] + 0.25) ** 2
    return np.exp(-0.28 * distance)

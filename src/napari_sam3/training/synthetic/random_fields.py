"""Random numbers and random fields, from which scenes and their images are drawn."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Random = np.random.Generator
Field = npt.NDArray[np.float32]
"""(H, W), a value per pixel."""


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def texture(
    rng: np.random.Generator, size: int, slope: float, finest: float = 1.0, coarsest: float = 0.0
) -> Field:
    """Draw a square field of zero mean and unit variance with a power-law spectrum.

    Parameters
    ----------
    slope : 0 is white noise; 3 and more are clouds.
    finest, coarsest : limits of the spectrum in cycles per pixel.
    """
    frequency = _frequency(size)
    noise = rng.standard_normal((2, *frequency.shape), dtype=np.float32)
    weight = frequency ** (-slope / 2) * (frequency > coarsest)
    if finest < 1:
        weight = weight * np.exp(-((frequency / finest) ** 2))
    weight[0, 0] = 0
    spectrum = ((noise[0] + 1j * noise[1]) * weight).astype(np.complex64)
    field = np.asarray(fft.irfft2(spectrum, s=(size, size)), np.float32)
    return np.asarray((field - field.mean()) / (field.std() + 1e-8), np.float32)


@cache
def _frequency(size: int) -> Field:
    rows = np.fft.fftfreq(size)[:, None]
    cols = np.fft.rfftfreq(size)[None]
    frequency = np.hypot(rows, cols).astype(np.float32)
    frequency[0, 0] = 1 / size
    return np.asarray(frequency, np.float32)


def speckle(rng: np.random.Generator, size: int, count: int, radius: float) -> Field:
    """Scatter soft spots of random brightness, the brightest about 1."""
    spots = np.zeros((size, size), np.float32)
    rows, cols = rng.integers(0, size, (2, count))
    spots[rows, cols] = rng.random(count)
    spots = blurred(spots, radius)
    return np.asarray(spots / (spots.max() + 1e-6), np.float32)


def blurred(field: Field, radius: float) -> Field:
    """Blur with a Gaussian; radii below a tenth of a pixel change nothing."""
    if radius < 0.1:
        return field
    return np.asarray(ndimage.gaussian_filter(field, radius, mode="nearest"), np.float32)

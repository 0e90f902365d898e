"""A time-lapse of dividing cells whose chromatin glows."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .camera import haze, illumination, photograph
from .cells import Cell, live, scatter
from .sample import Sample

FRAMES = 30
SHAPE = (256, 256)
PHOTONS = 75.0  # per pixel of a nucleus between divisions
BLEACHING = 0.25  # share of the light lost until the last frame
TEXTURE = 64  # pixels of a chromatin texture along each side


@cache
def dividing_cells() -> Sample:
    """Make the time-lapse, always the same one; its arrays are read-only."""
    rng = np.random.default_rng(20)
    cells = scatter(22, SHAPE, rng)
    image = np.zeros((FRAMES, *SHAPE), np.uint16)
    labels = np.zeros((FRAMES, *SHAPE), np.uint16)
    lamp = illumination(SHAPE)
    for frame in range(FRAMES):
        light, labels[frame] = _draw(cells)
        light = ndimage.gaussian_filter(light, 1.0)
        light = (light + 0.25 * haze(light, 16) + 5) * lamp
        image[frame] = photograph(light * (1 - BLEACHING * frame / FRAMES), rng)
        cells = live(cells, SHAPE, rng)
    image.setflags(write=False)
    labels.setflags(write=False)
    return Sample(image, labels)


def _draw(cells: list[Cell]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Draw light and labels of a frame; a pixel of two cells belongs to the one it is deeper in."""
    light = np.zeros(SHAPE, np.float32)
    labels = np.zeros(SHAPE, np.uint16)
    nearest = np.ones(SHAPE, np.float32)
    for cell in cells:
        box = _box_around(cell)
        rows, cols = _body_coordinates(cell, box)
        distance = np.hypot(rows, cols) / _outline(cell, np.arctan2(cols, rows))
        inside = distance < nearest[box]
        nearest[box][inside] = distance[inside]
        labels[box][inside] = cell.identity
        light[box][inside] = _glow(cell, rows, cols, distance)[inside]
    return light, labels


def _box_around(cell: Cell) -> tuple[slice, slice]:
    reach = 2 * cell.size
    low = np.maximum(np.floor(cell.centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(cell.centre + reach) + 1, SHAPE).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _body_coordinates(
    cell: Cell, box: tuple[slice, slice]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the box's pixels lie in the cell, along its long and its short axis."""
    rows, cols = np.mgrid[box]
    rows, cols = rows - cell.centre[0], cols - cell.centre[1]
    along = np.cos(cell.angle) * rows + np.sin(cell.angle) * cols
    across = np.cos(cell.angle) * cols - np.sin(cell.angle) * rows
    long, short = _half_axes(cell)
    return along / long, across / short


def _half_axes(cell: Cell) -> tuple[float, float]:
    """Return the long and the short half axis in pixels; condensed chromosomes form a plate."""
    stretch = np.sqrt(cell.elongation)
    plate = cell.condensation
    long = cell.size * (stretch * (1 - plate) + 0.95 * plate)
    short = cell.size * (1 / stretch * (1 - plate) + 0.42 * plate)
    return long, short


def _outline(cell: Cell, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the radius of the outline at these angles, around 1."""
    waves = [
        amplitude * np.cos(order * angle + phase)
        for order, (amplitude, phase) in enumerate(cell.lobes, start=2)
    ]
    return 1 + (1 - cell.condensation) * np.sum(waves, axis=0)


def _glow(
    cell: Cell,
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    distance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return photons per pixel: chromatin between divisions, bright chromosomes in them."""
    positions = (np.stack([rows, cols]) + 1.3) / 2.6 * TEXTURE
    chromatin = ndimage.map_coordinates(_texture(cell.identity), positions, order=1, mode="nearest")
    condensed = cell.condensation
    brightness = PHOTONS * (1 + 2.2 * condensed) * (11 / cell.size) ** (1 - condensed)
    return brightness * (1 - 0.35 * distance**3) * (chromatin * (1 - condensed) + condensed)


@cache
def _texture(identity: int) -> NDArray[np.float32]:
    """Return the chromatin of one cell, around 1: clumps, and a few dark nucleoli."""
    rng = np.random.default_rng(identity)
    clumps = ndimage.gaussian_filter(rng.normal(size=(TEXTURE, TEXTURE)), 3.0, mode="wrap")
    texture = 1 + 0.22 * clumps / clumps.std()
    rows, cols = np.mgrid[:TEXTURE, :TEXTURE]
    for _ in range(rng.integers(1, 4)):
        row, col = rng.uniform(0.3, 0.7, 2) * TEXTURE
        spot = np.hypot(rows - row, cols - col) / rng.uniform(3.5, 6.5)
        texture *= 1 - 0.6 * np.exp(-(spot**4))
    brightness = rng.lognormal(0, 0.18)
    return (brightness * np.clip(texture, 0.2, None)).astype(np.float32)

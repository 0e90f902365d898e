"""A time-lapse of dividing cells with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .microscope import LayerData, Sample, haze, illumination, photograph

FRAMES = 30
SHAPE = (256, 256)
CYCLE = 72.0  # frames from one division to the next
MITOSIS = 4.0  # frames a division takes, before and after the cell has split
MIN_DISTANCE = 1.9  # of two cells, in radii
PHOTONS = 75.0  # per pixel of a nucleus between divisions
BLEACHING = 0.25  # share of the light lost until the last frame
TEXTURE = 64  # pixels of a chromatin texture along each side


@cache
def dividing_cells() -> Sample:
    """Make the time-lapse, the same in every call; its arrays are read-only."""
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
        cells = advance(cells, SHAPE, rng)
    image.setflags(write=False)
    labels.setflags(write=False)
    return Sample(image, labels)


def timelapse() -> list[LayerData]:
    """Return dividing cells, (30, 256, 256), as an image layer in minutes and micrometers."""
    settings = {
        "name": "mitosis",
        "scale": (5.0, 0.4, 0.4),
        "axis_labels": ("t", "y", "x"),
        "units": ("minute", "micrometer", "micrometer"),
        "contrast_limits": (100, 420),
    }
    return [(dividing_cells().image, settings, "image")]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The nucleus of a cell on a frame."""

    identity: int
    centre: NDArray[np.float64]  # (2,) row, col in pixels
    heading: float  # direction of migration, radians
    angle: float  # of its long axis, radians from the rows
    radius: float  # when it was born, pixels
    elongation: float  # long axis over short axis
    lobes: NDArray[np.float64]  # (3, 2) amplitude and phase of orders 2, 3 and 4 of the outline
    age: float  # frames since its birth

    @property
    def size(self) -> float:
        """Radius now, pixels: a cell doubles its area before it divides."""
        return self.radius * np.sqrt(1 + np.clip(self.age / CYCLE, 0, 1))

    @property
    def condensation(self) -> float:
        """How far its chromosomes are condensed: 0 between divisions, 1 when it divides."""
        since, until = self.age, CYCLE - self.age
        return float(np.clip(1 - min(since, until) / MITOSIS, 0, 1))


def scatter(count: int, shape: tuple[int, int], rng: np.random.Generator) -> list[Cell]:
    """Scatter cells of all ages over a frame (H, W) without overlap."""
    cells: list[Cell] = []
    for identity in range(1, count + 1):
        cell = Cell(
            identity=identity,
            centre=rng.uniform(0.04, 0.96, 2) * shape,
            heading=rng.uniform(0, 2 * np.pi),
            angle=rng.uniform(0, np.pi),
            radius=rng.uniform(9.0, 11.5),
            elongation=rng.uniform(1.1, 1.65),
            lobes=_lobes(rng),
            age=rng.uniform(MITOSIS, CYCLE - 1),
        )
        cells.append(cell)
    for _ in range(200):
        cells = _separated(cells, shape)
    return cells


def advance(cells: list[Cell], shape: tuple[int, int], rng: np.random.Generator) -> list[Cell]:
    """Return the cells one frame later."""
    next_identity = max(cell.identity for cell in cells) + 1
    later: list[Cell] = []
    for cell in cells:
        moved = _migrated(cell, rng)
        if moved.age < CYCLE:
            later.append(moved)
            continue
        later += _daughters(moved, next_identity, rng)
        next_identity += 2
    for _ in range(3):
        later = _separated(later, shape)
    return later


def _migrated(cell: Cell, rng: np.random.Generator) -> Cell:
    speed = 1.5 * (1 - cell.condensation) + 0.2
    heading = cell.heading + rng.normal(0, 0.5)
    step = speed * np.array([np.sin(heading), np.cos(heading)])
    return replace(
        cell,
        centre=cell.centre + step + rng.normal(0, 0.25, 2),
        heading=heading,
        angle=cell.angle + rng.normal(0, 0.07),
        lobes=cell.lobes + rng.normal(0, (0.006, 0.12), (3, 2)),
        age=cell.age + rng.uniform(0.85, 1.15),
    )


def _daughters(mother: Cell, identity: int, rng: np.random.Generator) -> list[Cell]:
    """Split a cell across its metaphase plate."""
    across = mother.angle + np.pi / 2
    offset = 0.62 * mother.radius * np.array([np.cos(across), np.sin(across)])
    radius = mother.size / np.sqrt(2) * rng.uniform(0.95, 1.05)
    return [
        replace(
            mother,
            identity=identity + index,
            centre=mother.centre + side * offset,
            heading=float(np.arctan2(side * offset[0], side * offset[1])),
            radius=radius,
            lobes=_lobes(rng),
            age=0.0,
        )
        for index, side in enumerate((-1, 1))
    ]


def _lobes(rng: np.random.Generator) -> NDArray[np.float64]:
    amplitudes = rng.normal(0, (0.05, 0.035, 0.02))
    return np.stack([amplitudes, rng.uniform(0, 2 * np.pi, 3)], axis=1)


def _separated(cells: list[Cell], shape: tuple[int, int]) -> list[Cell]:
    """Move overlapping cells half the way apart, and all cells into the frame."""
    centres = np.array([cell.centre for cell in cells])
    reach = np.array([cell.size * np.sqrt(cell.elongation) for cell in cells]) * MIN_DISTANCE / 2
    between = centres[:, None] - centres[None]
    distance = np.sqrt((between**2).sum(axis=-1)) + np.eye(len(cells))
    overlap = np.clip(reach[:, None] + reach[None] - distance, 0, None) * (1 - np.eye(len(cells)))
    # Daughters start too close to each other; they separate slowly, as chromosomes do.
    young = np.array([min(1.0, 0.25 + cell.age / 8) for cell in cells])
    push = (0.25 * np.minimum(young[:, None], young[None]) * overlap / distance)[..., None]
    centres += (push * between).sum(axis=1)
    centres = np.clip(centres, 4, np.array(shape) - 5)
    return [replace(cell, centre=centre) for cell, centre in zip(cells, centres, strict=True)]


def _draw(cells: list[Cell]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Draw light and labels of a frame; overlapping cells share pixels by their depth in each."""
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
        light[box][inside] = _emission(cell, rows, cols, distance)[inside]
    return light, labels


def _box_around(cell: Cell) -> tuple[slice, slice]:
    reach = 2 * cell.size
    low = np.maximum(np.floor(cell.centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(cell.centre + reach) + 1, SHAPE).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _body_coordinates(
    cell: Cell, box: tuple[slice, slice]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixels of a box in coordinates of the cell, along its long and short axis."""
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
    lobes = [
        amplitude * np.cos(order * angle + phase)
        for order, (amplitude, phase) in enumerate(cell.lobes, start=2)
    ]
    return 1 + (1 - cell.condensation) * np.sum(lobes, axis=0)


def _emission(
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

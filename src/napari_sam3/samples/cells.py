"""Cells that wander, grow, push each other away and divide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

CYCLE = 72.0  # frames from one division to the next
MITOSIS = 4.0  # frames a division takes, before and after the cell has split
ROOM = 1.9  # how close two cells come, in radii


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One nucleus of a cell at one moment."""

    identity: int
    centre: NDArray[np.float64]  # (2,) row, col in pixels
    heading: float  # where it wanders, radians
    angle: float  # of its long axis, radians from the rows
    radius: float  # when it was born, pixels
    elongation: float  # long axis over short axis
    lobes: NDArray[np.float64]  # (3, 2) amplitude and phase of the outline's waves 2, 3 and 4
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
    """Place cells of all ages on a frame (H, W), none on another."""
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
        cells = _pushed_apart(cells, shape)
    return cells


def live(cells: list[Cell], shape: tuple[int, int], rng: np.random.Generator) -> list[Cell]:
    """Return the cells one frame later."""
    next_identity = max(cell.identity for cell in cells) + 1
    later: list[Cell] = []
    for cell in cells:
        moved = _moved(cell, rng)
        if moved.age < CYCLE:
            later.append(moved)
            continue
        later += _daughters(moved, next_identity, rng)
        next_identity += 2
    for _ in range(3):
        later = _pushed_apart(later, shape)
    return later


def _moved(cell: Cell, rng: np.random.Generator) -> Cell:
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
    apart = 0.62 * mother.radius * np.array([np.cos(across), np.sin(across)])
    radius = mother.size / np.sqrt(2) * rng.uniform(0.95, 1.05)
    return [
        replace(
            mother,
            identity=identity + index,
            centre=mother.centre + side * apart,
            heading=float(np.arctan2(side * apart[0], side * apart[1])),
            radius=radius,
            lobes=_lobes(rng),
            age=0.0,
        )
        for index, side in enumerate((-1, 1))
    ]


def _lobes(rng: np.random.Generator) -> NDArray[np.float64]:
    amplitudes = rng.normal(0, (0.05, 0.035, 0.02))
    return np.stack([amplitudes, rng.uniform(0, 2 * np.pi, 3)], axis=1)


def _pushed_apart(cells: list[Cell], shape: tuple[int, int]) -> list[Cell]:
    """Move overlapping cells away from each other, half the way, and all of them into the frame."""
    centres = np.array([cell.centre for cell in cells])
    reach = np.array([cell.size * np.sqrt(cell.elongation) for cell in cells]) * ROOM / 2
    between = centres[:, None] - centres[None]
    distance = np.sqrt((between**2).sum(axis=-1)) + np.eye(len(cells))
    overlap = np.clip(reach[:, None] + reach[None] - distance, 0, None) * (1 - np.eye(len(cells)))
    # Daughters start inside each other's reach; they part slowly, as chromosomes do.
    young = np.array([min(1.0, 0.25 + cell.age / 8) for cell in cells])
    push = (0.25 * np.minimum(young[:, None], young[None]) * overlap / distance)[..., None]
    centres += (push * between).sum(axis=1)
    centres = np.clip(centres, 4, np.array(shape) - 5)
    return [replace(cell, centre=centre) for cell, centre in zip(cells, centres, strict=True)]

"""Label pictures in which cells fill the plane: tissues and packed colonies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam3.training.noise import texture

Labels = npt.NDArray[np.int32]
_MARGIN = 20


def tissue(
    rng: np.random.Generator, size: int, radius: float, warp: float, merging: float
) -> Labels:
    """Divide the plane into cells that touch.

    Parameters
    ----------
    radius : typical radius of a cell, in pixels.
    warp : how wavy the walls are, in cell diameters.
    merging : share of cells merged with a neighbour, which makes them long and branched.
    """
    pitch = max(5.0, radius * 1.9)
    rows, cols = _seeds(rng, size, pitch)
    numbers = _merged(rng, rows, cols, merging)
    seeds = np.zeros((size + 2 * _MARGIN,) * 2, np.int32)
    seeds[rows, cols] = numbers
    nearest = ndimage.distance_transform_edt(
        seeds == 0, return_distances=False, return_indices=True
    )
    slope, finest = rng.uniform(2.8, 4.6), min(0.5, rng.uniform(0.25, 1.2) / pitch) * 2
    shift = [texture(rng, size, slope, finest) * warp * pitch for _ in range(2)]
    place = np.round(np.indices((size, size)) + _MARGIN + np.stack(shift)).astype(int)
    row, col = np.clip(place, 0, size + 2 * _MARGIN - 1)
    cells = seeds[tuple(nearest)]
    return np.asarray(cells[row, col], np.int32)


def _seeds(
    rng: np.random.Generator, size: int, pitch: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Points of a disturbed grid, some left out, (row, col) including the margin."""
    count = int(size / pitch) + 3
    row, col = np.mgrid[-1 : count + 1, -1 : count + 1].astype(float)
    if rng.random() < 0.6:
        col += (np.arange(len(col)) % 2)[:, None] * 0.5
    disorder = rng.uniform(0.1, 0.42)
    points = (np.stack([row, col]) + rng.normal(size=(2, *row.shape)) * disorder) * pitch
    points = np.round(points.reshape(2, -1) + _MARGIN).astype(int)
    kept = ((points >= 0) & (points < size + 2 * _MARGIN)).all(0)
    points = points[:, kept]
    points = points[:, rng.random(points.shape[1]) > rng.uniform(0, 0.25)]
    return points[0], points[1]


def _merged(
    rng: np.random.Generator,
    rows: npt.NDArray[np.intp],
    cols: npt.NDArray[np.intp],
    share: float,
) -> npt.NDArray[np.intp]:
    numbers = np.arange(1, len(rows) + 1)
    for point in np.flatnonzero(rng.random(len(rows)) < share):
        distance = (rows - rows[point]) ** 2 + (cols - cols[point]) ** 2
        distance[point] = np.iinfo(distance.dtype).max
        numbers[point] = numbers[distance.argmin()]
    return numbers


def colony(rng: np.random.Generator, size: int, width: float) -> Labels:
    """Pack rods of `width` pixels side by side, in domains of different heading."""
    row, col = np.indices((size, size)).astype(np.float32)
    bend = [texture(rng, size, 4.2, 0.02) * rng.uniform(0, 1.6) * width for _ in range(2)]
    row, col = row + bend[0], col + bend[1]
    seeds = rng.uniform(0, size, (int(rng.integers(1, 5)), 2))
    away = (row - seeds[:, 0, None, None]) ** 2 + (col - seeds[:, 1, None, None]) ** 2
    domain = away.argmin(0)
    length, blunt = width * rng.uniform(2.2, 6), rng.uniform(0.3, 1.0)
    labels = np.zeros((size, size), np.int64)
    for number in range(len(seeds)):
        rods = _rows_of_rods(rng, (row, col), (width, length), blunt)
        labels = np.where((domain == number) & (rods > 0), rods + number * 10**7, labels)
    return _thinned(rng, labels)


def _rows_of_rods(
    rng: np.random.Generator,
    plane: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    measures: tuple[float, float],
    blunt: float,
) -> npt.NDArray[np.int64]:
    """Rods of (width, length) in parallel rows; `blunt` is 1 for round ends, less for flat."""
    width, length = measures
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * plane[1] + np.sin(angle) * plane[0]
    across = np.cos(angle) * plane[0] - np.sin(angle) * plane[1]
    lane = np.floor(across / width).astype(int)
    lane -= lane.min()
    start = (rng.uniform(0, 1, lane.max() + 1) * length)[lane]
    period = (np.exp(rng.normal(size=lane.max() + 1) * 0.12) * length)[lane]
    turn = np.floor((along + start) / period).astype(int)
    past_middle = np.abs(((along + start) / period - turn - 0.5) * period)
    beside = (across / width - np.floor(across / width) - 0.5) * width
    gap = rng.uniform(0, 1.1)
    half = width / 2 - gap
    cap = np.maximum(past_middle - (period / 2 - gap * 1.2 - half * blunt), 0) / blunt
    inside = cap**2 + beside**2 < half**2
    return np.asarray(np.where(inside, lane * 4096 + turn - turn.min() + 1, 0), np.int64)


def _thinned(rng: np.random.Generator, labels: npt.NDArray[np.int64]) -> Labels:
    """Take single cells out, keep one colony and at most 240 cells."""
    _, flat = np.unique(labels, return_inverse=True)
    labels = flat.reshape(labels.shape)
    kept = rng.random(labels.max() + 1) > rng.uniform(0, 0.2)
    if rng.random() < 0.75:
        ground = texture(rng, len(labels), 4.0, 0.012)
        level = np.quantile(ground, rng.uniform(0, 0.6))
        grown = np.bincount(labels.ravel(), (ground > level).ravel())
        kept &= grown > 0.6 * np.bincount(labels.ravel())
    kept[0] = False
    number = np.cumsum(kept) * kept
    number[number > 240] = 0
    return np.asarray(number[labels], np.int32)

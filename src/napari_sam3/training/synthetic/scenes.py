"""Synthetic scenes: which pixel belongs to which cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..label_images import Labels, boundaries, distance_inside, offset_outlines, relabelled
from . import shapes
from .random_fields import log_uniform, texture
from .shapes import Patch

TISSUE_MARGIN = 20
"""Pixels beyond the image in which a tissue has cells, too."""
Kind = Literal["blob", "rod", "yeast", "adherent", "tissue", "neurite", "vesicle", "blood"]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A synthetic field of view, before it is rendered under a microscope."""

    kind: Kind
    radius: float
    """Typical radius of the objects, in pixels."""
    labels: Labels
    nested: Labels
    """(H, W) nuclei or organelles inside the objects; zeros where there are none."""
    source: npt.NDArray[np.float32] | None = None
    """(2, H, W), row and column of each pixel on the previous frame; None on the first."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many objects there are and how close they lie."""

    radius: float
    radius_sigma: float
    """Standard deviation of the logarithm of the radius."""
    density: float
    """Share of the image to fill."""
    clumping: float
    """Share of objects that lie beside an earlier object."""
    overlap: float
    """Share of an object that may be hidden under earlier objects."""


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """Draw a scene of a random kind, `size` pixels square."""
    for _ in range(5):
        scene = MAKERS[rng.choice(len(MAKERS), p=SHARES)](rng, size)
        if scene.labels.any():
            break
    return scene


def _blobs(rng: np.random.Generator, size: int) -> Scene:
    radius, roughness, stretch = (
        log_uniform(rng, 4, 46),
        rng.uniform(0.02, 0.3),
        rng.uniform(0, 0.5),
    )
    crowd = _crowd(rng, radius, overlap=rng.uniform(0.02, 0.35))
    lobed = rng.random() < 0.2

    def draw(radius: float) -> Patch:
        if lobed and rng.random() < 0.6:
            return shapes.lobed(rng, radius)
        return shapes.blob(
            rng, radius, roughness * rng.uniform(0.3, 1.2), 1 + abs(rng.normal()) * stretch
        )

    scene = _bare("blob", radius, arrange(rng, size, crowd, draw))
    return with_nuclei(rng, scene) if radius > 9 and rng.random() < 0.4 else scene


def _rods(rng: np.random.Generator, size: int) -> Scene:
    radius = log_uniform(rng, 4, 16)
    crowd = _crowd(rng, radius, overlap=rng.uniform(0.02, 0.15))
    aspect, heading, aligned = rng.uniform(2.2, 7), rng.uniform(0, np.pi), rng.random() < 0.5

    def draw(radius: float) -> Patch:
        angle = heading + rng.normal() * 0.35 if aligned else rng.uniform(0, np.pi)
        width = radius * 0.55
        return shapes.rod(rng, width, width * aspect * np.exp(rng.normal() * 0.3), angle)

    labels = arrange(rng, size, crowd, draw)
    if rng.random() < 0.4:
        labels = offset_outlines(labels, int(rng.integers(1, 4)))
    return _bare("rod", radius, labels)


def _colony(rng: np.random.Generator, size: int) -> Scene:
    width = log_uniform(rng, 5, 17)
    labels = colony(rng, size, width)
    if rng.random() < 0.4:
        labels = offset_outlines(labels, int(rng.integers(1, 3)))
    return _bare("rod", max(4.0, width * 0.6), labels)


def _filaments(rng: np.random.Generator, size: int) -> Scene:
    radius = log_uniform(rng, 1.6, 6)
    crowd = Crowd(radius, rng.uniform(0.05, 0.3), rng.uniform(0.03, 0.3), rng.uniform(0, 0.6), 0.12)
    slenderness, short = log_uniform(rng, 8, 50), rng.choice((0, 0.4))

    def draw(radius: float) -> Patch:
        if rng.random() < short:
            return shapes.rod(rng, radius * 1.3, radius * rng.uniform(4, 9), rng.uniform(0, np.pi))
        length = radius * slenderness * np.exp(rng.normal() * 0.4)
        return shapes.thread(rng, radius, min(length, 1.2 * size))

    return _bare("rod", max(4.0, radius * 1.5), arrange(rng, size, crowd, draw))


def _yeasts(rng: np.random.Generator, size: int) -> Scene:
    radius = log_uniform(rng, 6, 40)
    crowd = _crowd(rng, radius, overlap=rng.uniform(0.02, 0.2))
    return _bare("yeast", radius, arrange(rng, size, crowd, lambda r: shapes.budding(rng, r)))


def _adherent(rng: np.random.Generator, size: int) -> Scene:
    radius, roughness = log_uniform(rng, 10, 40), rng.uniform(0.1, 0.5)
    crowd = _crowd(rng, radius, overlap=rng.uniform(0.05, 0.4))
    slender = rng.choice((0, 0.3, 0.9))

    def draw(radius: float) -> Patch:
        if rng.random() < slender:
            return shapes.spindle(rng, radius)
        return shapes.adherent(rng, radius, roughness)

    labels = arrange(rng, size, crowd, draw)
    scene = _bare("adherent", radius, labels)
    return with_nuclei(rng, scene) if rng.random() < 0.5 else scene


def _tissue(rng: np.random.Generator, size: int) -> Scene:
    radius = log_uniform(rng, 6, 48)
    labels = tissue(rng, size, radius, warp=rng.uniform(0.02, 0.25), merging=0)
    scene = _loosened(rng, _bare("tissue", radius, labels))
    return with_nuclei(rng, scene) if radius > 9 and rng.random() < 0.5 else scene


def _neurites(rng: np.random.Generator, size: int) -> Scene:
    radius = log_uniform(rng, 6, 48)
    labels = tissue(rng, size, radius, rng.uniform(0.15, 0.5), rng.uniform(0, 0.4))
    scene = _loosened(rng, _bare("neurite", radius, labels))
    return with_organelles(rng, scene) if radius > 9 and rng.random() < 0.6 else scene


def _vesicles(rng: np.random.Generator, size: int) -> Scene:
    radius = log_uniform(rng, 4, 14)
    crowd = Crowd(radius, rng.uniform(0.3, 0.6), rng.uniform(0.05, 0.45), rng.uniform(0, 0.9), 0.05)
    return _bare("vesicle", radius, arrange(rng, size, crowd, lambda r: shapes.blob(rng, r, 0.06)))


def _blood(rng: np.random.Generator, size: int) -> Scene:
    radius = log_uniform(rng, 12, 45)
    crowd = Crowd(radius, rng.uniform(0.05, 0.2), rng.uniform(0.1, 0.6), rng.uniform(0, 0.7), 0.08)
    labels = arrange(rng, size, crowd, lambda r: shapes.blob(rng, r, rng.uniform(0.02, 0.12)))
    return with_nuclei(rng, _bare("blood", radius, labels))


MAKERS = (
    _blobs, _rods, _colony, _filaments, _yeasts, _adherent, _tissue, _neurites, _vesicles, _blood,
)  # fmt: skip
SHARES = (0.18, 0.08, 0.12, 0.11, 0.06, 0.12, 0.12, 0.11, 0.03, 0.07)
"""How often a scene is of each kind."""


def _bare(kind: Kind, radius: float, labels: Labels) -> Scene:
    labels = relabelled(labels, min_area=max(10, int(0.35 * radius)))
    return Scene(kind, radius, labels, np.zeros_like(labels))


def _crowd(rng: np.random.Generator, radius: float, overlap: float) -> Crowd:
    return Crowd(
        radius, rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.65), rng.uniform(0, 0.9), overlap
    )


def arrange(
    rng: np.random.Generator, size: int, crowd: Crowd, draw: Callable[[float], Patch]
) -> Labels:
    """Add objects drawn by `draw(radius)` until the image is as full as wanted."""
    labels = np.zeros((size, size), np.int32)
    discs: list[tuple[float, float, float]] = []
    filled_area = 0
    for _ in range(320):
        if filled_area > crowd.density * size * size or len(discs) >= 240:
            break
        radius = max(2.5, crowd.radius * np.exp(rng.normal() * crowd.radius_sigma))
        row, col = rng.uniform(-4, size + 4, 2)
        if discs and rng.random() < crowd.clumping:
            row, col = _beside(rng, discs, radius)
        if not (-8 < row < size + 8 and -8 < col < size + 8):
            continue
        patch = draw(radius)
        if paste(labels, patch, (row, col), len(discs) + 1, crowd.overlap):
            discs.append((row, col, radius))
            filled_area += int(patch.sum())
    return labels


def _beside(
    rng: np.random.Generator, discs: list[tuple[float, float, float]], radius: float
) -> tuple[float, float]:
    row, col, neighbour = discs[rng.integers(max(0, len(discs) - 12), len(discs))]
    angle, distance = rng.uniform(0, 6.3), (neighbour + radius) * rng.uniform(0.7, 1.15)
    return row + distance * np.sin(angle), col + distance * np.cos(angle)


def paste(
    labels: Labels, patch: Patch, centre: tuple[float, float], number: int, overlap: float
) -> bool:
    """Draw an object beneath the earlier ones; return False if too little of it would show."""
    top, left = (int(c) - side // 2 for c, side in zip(centre, patch.shape, strict=True))
    rows = slice(max(0, top), max(0, top + patch.shape[0]))
    cols = slice(max(0, left), max(0, left + patch.shape[1]))
    window = labels[rows, cols]
    part = patch[rows.start - top :, cols.start - left :][: window.shape[0], : window.shape[1]]
    hidden = int((part & (window > 0)).sum())
    area = int(part.sum())
    if area < 6 or hidden > overlap * area:
        return False
    window[part & (window == 0)] = number
    return True


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
    rows, cols = _disturbed_grid(rng, size, pitch)
    numbers = _merged(rng, rows, cols, merging)
    markers = np.zeros((size + 2 * TISSUE_MARGIN,) * 2, np.int32)
    markers[rows, cols] = numbers
    nearest = ndimage.distance_transform_edt(
        markers == 0, return_distances=False, return_indices=True
    )
    slope, finest = rng.uniform(2.8, 4.6), min(0.5, rng.uniform(0.25, 1.2) / pitch) * 2
    shift = [texture(rng, size, slope, finest) * warp * pitch for _ in range(2)]
    source = np.round(np.indices((size, size)) + TISSUE_MARGIN + np.stack(shift)).astype(int)
    row, col = np.clip(source, 0, size + 2 * TISSUE_MARGIN - 1)
    cells = markers[tuple(nearest)]
    return np.asarray(cells[row, col], np.int32)


def _disturbed_grid(
    rng: np.random.Generator, size: int, pitch: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Draw rows and columns of a disturbed grid, with its margin; some points are left out."""
    count = int(size / pitch) + 3
    row, col = np.mgrid[-1 : count + 1, -1 : count + 1].astype(float)
    if rng.random() < 0.6:
        col += (np.arange(len(col)) % 2)[:, None] * 0.5
    disorder = rng.uniform(0.1, 0.42)
    points = (np.stack([row, col]) + rng.normal(size=(2, *row.shape)) * disorder) * pitch
    points = np.round(points.reshape(2, -1) + TISSUE_MARGIN).astype(int)
    kept = ((points >= 0) & (points < size + 2 * TISSUE_MARGIN)).all(0)
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


def _loosened(rng: np.random.Generator, scene: Scene) -> Scene:
    """Open gaps between the cells of a tissue, or remove some cells."""
    labels = scene.labels
    if rng.random() < 0.45:
        from_wall = ndimage.distance_transform_edt(~boundaries(labels))
        labels = np.where(from_wall > rng.uniform(0.6, 3.5), labels, 0)
    if rng.random() < 0.35:
        missing = rng.random(256) < rng.uniform(0.05, 0.6)
        labels = np.where(missing[labels], 0, labels)
    return _bare(scene.kind, scene.radius, labels.astype(np.int32))


def colony(rng: np.random.Generator, size: int, width: float) -> Labels:
    """Pack rods of `width` pixels side by side, in domains of different heading."""
    row, col = np.indices((size, size)).astype(np.float32)
    bend = [texture(rng, size, 4.2, 0.02) * rng.uniform(0, 1.6) * width for _ in range(2)]
    row, col = row + bend[0], col + bend[1]
    centres = rng.uniform(0, size, (int(rng.integers(1, 5)), 2))
    away = (row - centres[:, 0, None, None]) ** 2 + (col - centres[:, 1, None, None]) ** 2
    domain = away.argmin(0)
    length, blunt = width * rng.uniform(2.2, 6), rng.uniform(0.3, 1.0)
    labels = np.zeros((size, size), np.int64)
    for number in range(len(centres)):
        rods = _rows_of_rods(rng, (row, col), (width, length), blunt)
        labels = np.where((domain == number) & (rods > 0), rods + number * 10**7, labels)
    return _thinned(rng, labels)


def _rows_of_rods(
    rng: np.random.Generator,
    plane: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    measures: tuple[float, float],
    blunt: float,
) -> npt.NDArray[np.int64]:
    """Label rows of rods of (width, length); `blunt` is 1 for round ends, less for flat ends."""
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
    """Take single cells out, keep a single colony and at most 240 cells."""
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


def with_nuclei(rng: np.random.Generator, scene: Scene) -> Scene:
    """Put a nucleus into every cell, round or lobed."""
    nested = np.zeros_like(scene.labels)
    share, lobed = rng.uniform(0.3, 0.7), rng.random() < (0.6 if scene.kind == "blood" else 0.15)
    anucleate = rng.uniform(0, 0.6) if scene.kind == "blood" else 0.05
    for number, cell, corner in _cells(scene.labels):
        radius = share * np.sqrt(cell.sum() / np.pi) * np.exp(rng.normal() * 0.15)
        if radius < 2.5 or rng.random() < anucleate:
            continue
        stretch = 1 + abs(rng.normal()) * 0.4
        patch = shapes.lobed(rng, radius) if lobed else shapes.blob(rng, radius, 0.08, stretch)
        paste(nested, patch, _deep_inside(rng, cell, radius, corner), number, 0.02)
    nested[scene.labels == 0] = 0
    return Scene(scene.kind, scene.radius, scene.labels, relabelled(nested, min_area=10))


def with_organelles(rng: np.random.Generator, scene: Scene) -> Scene:
    """Put up to three mitochondria into every neurite."""
    nested = np.zeros_like(scene.labels)
    share, count = rng.uniform(0.18, 0.38), 0
    for _, cell, corner in _cells(scene.labels):
        for _ in range(rng.integers(0, 4)):
            radius = share * np.sqrt(cell.sum() / np.pi) * np.exp(rng.normal() * 0.15)
            patch = shapes.blob(rng, max(radius, 2.5), 0.08, 1 + abs(rng.normal()) * 1.2)
            count += paste(
                nested, patch, _deep_inside(rng, cell, radius, corner), min(count + 1, 250), 0.02
            )
    nested[scene.labels == 0] = 0
    return Scene(scene.kind, scene.radius, scene.labels, relabelled(nested, min_area=10))


def _cells(labels: Labels) -> list[tuple[int, Patch, tuple[int, int]]]:
    """List number, crop and upper left corner of every object."""
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    return [
        (number, labels[box] == number, (box[0].start, box[1].start))
        for number, box in boxes
        if box is not None
    ]


def _deep_inside(
    rng: np.random.Generator, cell: Patch, depth: float, corner: tuple[int, int]
) -> tuple[float, float]:
    """Draw a point at least `depth` pixels from the edge, or as deep as the cell is."""
    inside = distance_inside(cell)
    rows, cols = np.nonzero(inside >= min(depth * 0.9, inside.max() * 0.95))
    index = rng.integers(len(rows))
    return float(rows[index] + corner[0]), float(cols[index] + corner[1])

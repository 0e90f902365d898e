"""Users that know the truth: where they click, what box they draw, how they judge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..values import Prompts
from .label_images import distance_inside, largest_piece

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
JITTER = 0.05
"""How far an edge of a box is off, at most, as a share of the side."""


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 0 if both are empty."""
    return float(np.count_nonzero(one & other) / max(1, int((one | other).sum())))


def chosen_objects(labels: Labels, most: int, smallest: int, seed: int = 0) -> list[int]:
    """Choose at most so many objects of a frame (H, W), always the same ones."""
    areas = np.bincount(labels[labels > 0])
    values = np.flatnonzero(areas >= smallest)
    rng = np.random.default_rng(seed)
    return sorted(rng.choice(values, min(most, len(values)), replace=False).tolist())


def innermost_point(mask: Mask) -> tuple[float, float]:
    """Return the point (row, col) farthest from the border of a mask."""
    row, col = np.unravel_index(distance_inside(mask).argmax(), mask.shape)
    return float(row), float(col)


def with_next_click(prompts: Prompts, answer: Mask, truth: Mask) -> Prompts:
    """Add a click in the middle of the largest mistake; none if there is no mistake."""
    missing, surplus = largest_piece(truth & ~answer), largest_piece(answer & ~truth)
    if not missing.any() and not surplus.any():
        return prompts
    adds = bool(np.count_nonzero(missing) >= np.count_nonzero(surplus))
    point = innermost_point(missing if adds else surplus)
    return Prompts(np.vstack([prompts.points, point]), [*prompts.positive.tolist(), adds])


def careless_box(mask: Mask, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw a box (4,) around a mask, each edge a little off, inside the image."""
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = np.array([rows[0] - 0.5, cols[0] - 0.5, rows[-1] + 0.5, cols[-1] + 0.5])
    sides = np.tile(box[2:] - box[:2], 2)
    limits = np.tile(np.array(mask.shape) - 0.5, 2)
    return np.clip(box + rng.uniform(-JITTER, JITTER, 4) * sides, -0.5, limits)


def average_precision(found: Labels, truth: Labels, enough: float = 0.5) -> float:
    """Share of right objects among all found and all true ones, (H, W) labels each.

    An object is right if it overlaps a true one by ``enough``; above one half, no two can.
    """
    places = [(value, place) for value, place in enumerate(ndimage.find_objects(found), 1) if place]
    areas = np.bincount(truth.ravel())
    right = {
        match
        for value, place in places
        if (match := _match(found[place] == value, truth[place], areas, enough))
    }
    count = len(places) + int((areas[1:] > 0).sum())
    return len(right) / max(1, count - len(right))


def _match(mask: Mask, truth: Labels, areas: npt.NDArray[np.int64], enough: float) -> int:
    """Return the true object that a mask shows, 0 if none."""
    shared = np.bincount(truth[mask], minlength=1)
    shared[0] = 0
    best = int(shared.argmax())
    union = np.count_nonzero(mask) + int(areas[best]) - int(shared[best])
    return best if best and shared[best] >= enough * union else 0


Point = tuple[float, float]
"""(row, col)"""


def click_inside(rng: np.random.Generator, mask: Mask) -> Point:
    """Click near the middle of `mask`, or anywhere not too close to its edge."""
    depth = distance_inside(mask)
    share = 0.9 if rng.random() < 0.5 else 0.3
    rows, cols = np.nonzero(depth >= min(depth.max(), max(1.0, depth.max() * share)))
    chosen = rng.integers(len(rows))
    return float(rows[chosen]), float(cols[chosen])


def correcting_click(
    rng: np.random.Generator, answer: Mask, target: Mask
) -> tuple[Point, bool] | None:
    """Click into the largest mistake: the point, and whether it adds; None if there is none."""
    missing, surplus = largest_piece(target & ~answer), largest_piece(answer & ~target)
    if not missing.any() and not surplus.any():
        return None
    adds = bool(missing.sum() >= surplus.sum())
    depth = distance_inside(missing if adds else surplus)
    share = 1.0 if rng.random() < 0.5 else 0.6
    rows, cols = np.nonzero(depth >= depth.max() * share)
    chosen = rng.integers(len(rows))
    return (float(rows[chosen]), float(cols[chosen])), adds


def rough_copy(rng: np.random.Generator, mask: Mask, roughness: float) -> Mask:
    """Bend, grow and shift `mask`; `roughness` 1 is a poor copy, 0 an exact one."""
    radius = float(np.sqrt(mask.sum() / np.pi))
    signed = distance_inside(mask) - distance_inside(~mask)
    waves = rng.standard_normal((mask.shape[0] // 2, mask.shape[1] // 2))
    width = max(1.5, radius * rng.uniform(0.3, 0.9)) / 2
    waves = ndimage.gaussian_filter(waves, width)
    waves = waves / (waves.std() + 1e-6) * rng.uniform(0, 0.22) * radius
    signed = signed + roughness * (waves.repeat(2, 0).repeat(2, 1) + rng.normal() * 0.13 * radius)
    reach = rng.choice((0.07, 0.24)) * radius + 1
    shift = np.round(rng.normal(size=2) * reach * roughness).astype(int)
    copy: Mask = np.roll(signed, shift, (0, 1)) > 0
    return copy if copy.sum() > 4 else mask

"""A simulated annotator who knows the true masks: clicks, boxes and rough masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..values import Prompts
from .label_images import Labels, Pixels, distance_inside, largest_component

Point = tuple[float, float]
"""(row, col)"""
JITTER = 0.05
"""How far an edge of a box is off at most, as a share of the side."""


def sample_objects(labels: Labels, max_count: int, min_area: int, seed: int = 0) -> list[int]:
    """Draw at most `max_count` objects of a frame (H, W); the same in every call."""
    areas = np.bincount(labels[labels > 0])
    values = np.flatnonzero(areas >= min_area)
    rng = np.random.default_rng(seed)
    return sorted(rng.choice(values, min(max_count, len(values)), replace=False).tolist())


def innermost_point(mask: Pixels) -> tuple[float, float]:
    """Return the point (row, col) farthest from the border of a mask."""
    row, col = np.unravel_index(distance_inside(mask).argmax(), mask.shape)
    return float(row), float(col)


def click_inside(rng: np.random.Generator, mask: Pixels) -> Point:
    """Click near the middle of `mask`, or anywhere not too close to its edge."""
    depth = distance_inside(mask)
    share = 0.9 if rng.random() < 0.5 else 0.3
    rows, cols = np.nonzero(depth >= min(depth.max(), max(1.0, depth.max() * share)))
    index = rng.integers(len(rows))
    return float(rows[index]), float(cols[index])


def with_next_click(prompts: Prompts, mask: Pixels, truth: Pixels) -> Prompts:
    """Add a click in the middle of the largest error; none if there is no error."""
    error = largest_error(mask, truth)
    if error is None:
        return prompts
    region, adds = error
    point = innermost_point(region)
    return Prompts(np.vstack([prompts.points, point]), [*prompts.positive.tolist(), adds])


def correcting_click(
    rng: np.random.Generator, mask: Pixels, target: Pixels
) -> tuple[Point, bool] | None:
    """Return a click into the largest error, and whether it is positive; None without errors."""
    error = largest_error(mask, target)
    if error is None:
        return None
    region, adds = error
    depth = distance_inside(region)
    share = 1.0 if rng.random() < 0.5 else 0.6
    rows, cols = np.nonzero(depth >= depth.max() * share)
    index = rng.integers(len(rows))
    return (float(rows[index]), float(cols[index])), adds


def largest_error(mask: Pixels, truth: Pixels) -> tuple[Pixels, bool] | None:
    """Return the largest component of an error, and whether it is missing; None without errors."""
    missing, surplus = largest_component(truth & ~mask), largest_component(mask & ~truth)
    if not missing.any() and not surplus.any():
        return None
    is_missing = bool(np.count_nonzero(missing) >= np.count_nonzero(surplus))
    return (missing if is_missing else surplus), is_missing


def jittered_box(mask: Pixels, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw a box (4,) around a mask, each edge a little off, inside the image."""
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = np.array([rows[0] - 0.5, cols[0] - 0.5, rows[-1] + 0.5, cols[-1] + 0.5])
    sides = np.tile(box[2:] - box[:2], 2)
    limits = np.tile(np.array(mask.shape) - 0.5, 2)
    return np.clip(box + rng.uniform(-JITTER, JITTER, 4) * sides, -0.5, limits)


def rough_copy(rng: np.random.Generator, mask: Pixels, roughness: float) -> Pixels:
    """Deform, grow and shift `mask`; `roughness` 1 is a poor copy, 0 an exact copy."""
    radius = float(np.sqrt(mask.sum() / np.pi))
    signed = distance_inside(mask) - distance_inside(~mask)
    noise = rng.standard_normal((mask.shape[0] // 2, mask.shape[1] // 2))
    width = max(1.5, radius * rng.uniform(0.3, 0.9)) / 2
    noise = ndimage.gaussian_filter(noise, width)
    noise = noise / (noise.std() + 1e-6) * rng.uniform(0, 0.22) * radius
    signed = signed + roughness * (noise.repeat(2, 0).repeat(2, 1) + rng.normal() * 0.13 * radius)
    reach = rng.choice((0.07, 0.24)) * radius + 1
    shift = np.round(rng.normal(size=2) * reach * roughness).astype(int)
    roughened: Pixels = np.roll(signed, shift, (0, 1)) > 0
    return roughened if roughened.sum() > 4 else mask

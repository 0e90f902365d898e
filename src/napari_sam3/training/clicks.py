"""Simulated users: where they click, and the rough masks they bring along."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam3.training.labels import distance_inside, largest_piece

Mask = npt.NDArray[np.bool_]
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

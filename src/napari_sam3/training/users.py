"""Users that know the truth: where they click, what box they draw, how they judge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam3.engine import Prompts
from napari_sam3.training.labels import distance_inside, largest_piece

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

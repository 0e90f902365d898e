"""Three scenes of a synthetic stack: the first, the previous and the current frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..label_images import Labels, boundaries
from .movies import Change, Source, flow, identity_source, next_scene, shrunk, warped_labels
from .random_fields import log_uniform
from .scenes import Scene

SKIPPED_FRAMES = (0.35, 0.3, 0.15, 0.1, 0.1)
"""How often 0, 1, 2 ... frames lie between the first and the previous frame."""
CALM_TRAVEL = 0.2
"""Where objects travel farther from frame to frame, in diameters, few frames are skipped."""
HALF_HEIGHTS = (1.5, 14.0)
"""Slices from the middle of an object to its end, typically."""
MAX_SLICES = 10.0
"""Slices from the first to the previous slice, at most."""
FIRST_IS_WIDEST = 0.6
"""How often the first slice lies in the middle of the objects, and not at their end."""
TISSUE_SHARE = 0.75
"""Share of an image that the cells of a tissue fill, at least."""
EXTENDING_SHARE = 0.6
"""How often the cells of a tissue extend through all slices."""
MIN_AREA = 10
"""Sections of fewer pixels are left out."""

Spheroids = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Half the height of every object and the position of its middle, (256,) each, in slices."""


def time_frames(rng: np.random.Generator, first: Scene, change: Change) -> list[Scene]:
    """Apply the same change to a scene once or several times."""
    scenes = [replace(first, source=identity_source(first.labels.shape))]
    between = int(rng.choice(len(SKIPPED_FRAMES), p=SKIPPED_FRAMES))
    for _ in range(1 + (between if change.travel <= CALM_TRAVEL else min(between, 1))):
        scenes.append(_from_first_frame(scenes[-1], next_scene(rng, scenes[-1], change)))
    return [scenes[0], scenes[-2], scenes[-1]]


def z_slices(rng: np.random.Generator, widest: Scene, change: Change) -> list[Scene]:
    """Cut spheroids, whose widest sections a scene shows, at three heights, and deform them.

    Cells that fill a tissue often extend through all slices, and only their nuclei end.
    """
    heights = _heights(rng)
    is_extending = _fills(widest.labels) and rng.random() < EXTENDING_SHARE
    outer, inner = _spheroids(rng), _spheroids(rng)
    scenes = [widest]
    for step in np.diff(heights):
        scenes.append(_deformed(rng, scenes[-1], change, float(np.sqrt(abs(step)))))
    sections = []
    for scene, height in zip(scenes, heights, strict=True):
        labels = scene.labels if is_extending else _section(scene.labels, outer, height)
        nested = _section(scene.nested, inner, height)
        nested = np.where(labels == scene.labels, nested, 0).astype(np.int32)
        sections.append(replace(scene, labels=labels, nested=nested))
    return sections


def ending_slices(rng: np.random.Generator, widest: Scene, change: Change) -> list[Scene]:
    """Make objects small on the previous slice, and let many end before the current slice."""
    current = next_scene(rng, widest, change)
    previous = shrunk(rng, widest, current)
    first = widest if rng.random() < FIRST_IS_WIDEST else previous
    return [first, previous, current]


def _heights(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw three heights, outward from the first; often the first is also the previous slice."""
    distance = rng.choice((0.0, np.round(log_uniform(rng, 1, MAX_SLICES))), p=(0.25, 0.75))
    step = rng.choice((1.0, 2.0), p=(0.85, 0.15))
    return np.array([0, distance, distance + step]) * rng.choice((-1, 1))


def _spheroids(rng: np.random.Generator) -> Spheroids:
    half = log_uniform(rng, *HALF_HEIGHTS) * np.exp(rng.normal(size=256) * rng.uniform(0, 0.4))
    offset = rng.choice((0.3, 1.0))
    return half, rng.uniform(-offset, offset, 256) * half


def _section(labels: Labels, spheroids: Spheroids, height: float) -> Labels:
    """Cut objects at a height; `labels` shows them where they are widest."""
    half, middle = spheroids
    widths = np.sqrt(np.clip(1 - ((height - middle) / half) ** 2, 0, 1))
    areas = np.bincount(labels.ravel(), minlength=256) * widths**2
    widths = np.where(areas < MIN_AREA, 0, widths)
    depth = np.asarray(ndimage.distance_transform_edt(~boundaries(labels)), np.float32)
    deepest = np.asarray(ndimage.maximum(depth, labels, np.arange(256)))
    shed = (deepest + 1) * (1 - widths)
    shed[0] = 0
    lost = (labels > 0) & (depth < shed[labels])
    section = np.where(lost, 0, labels).astype(np.int32)
    return _grown_into(section, lost) if _fills(labels) and section.any() else section


def _fills(labels: Labels) -> bool:
    return bool((labels > 0).mean() > TISSUE_SHARE)


def _grown_into(labels: Labels, lost: npt.NDArray[np.bool_]) -> Labels:
    """Let neighbours grow into the pixels that are lost, as in a tissue."""
    nearest = ndimage.distance_transform_edt(
        labels == 0, return_distances=False, return_indices=True
    )
    return np.where(lost, labels[tuple(nearest)], labels).astype(np.int32)


def _deformed(rng: np.random.Generator, scene: Scene, change: Change, strength: float) -> Scene:
    """Deform a whole scene a little."""
    if not strength:
        return scene
    mild = Change(0.03, change.drift, change.growth * 0.5, change.bending, change.turning, 0, 0)
    source = flow(rng, len(scene.labels), mild, scene.radius)
    still = identity_source(scene.labels.shape)
    source = still + (source - still) * min(strength, 2.0)
    labels = warped_labels(scene.labels, source)
    if _fills(scene.labels):
        edges = ndimage.map_coordinates(scene.labels, source, order=0, mode="nearest")
        labels = np.asarray(edges, np.int32)
    deformed = replace(
        scene, labels=labels, nested=warped_labels(scene.nested, source), source=source
    )
    return _from_first_frame(scene, deformed)


def _from_first_frame(previous: Scene, scene: Scene) -> Scene:
    """Trace the source of every pixel back to the first frame, through the previous frame."""
    if previous.source is None or scene.source is None:
        return scene
    composed: Source = np.stack(
        [
            ndimage.map_coordinates(plane, scene.source, order=1, mode="nearest")
            for plane in previous.source
        ]
    )
    return replace(scene, source=composed)

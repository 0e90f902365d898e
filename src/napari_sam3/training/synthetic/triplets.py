"""Three frames of one invented stack: the first, the one before, and the present one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..label_images import boundaries
from .movies import Change, Source, dwindled, flow, identity, next_scene, taken
from .random_fields import log_uniform
from .scenes import Labels, Scene

STEPS = (0.35, 0.3, 0.15, 0.1, 0.1)
"""How often 0, 1, 2 ... frames lie between the first and the one before."""
CALM = 0.2
"""Objects that travel farther from frame to frame, in diameters, are filmed for few frames."""
HALF_HEIGHTS = (1.5, 14.0)
"""Slices from the middle of an object to its end, typically."""
FARTHEST = 10.0
"""Slices from the first one to the one before, at most."""
FIRST_IS_WIDEST = 0.6
"""How often the first of such slices lies in the middle of the objects, not at their end."""
FILLED = 0.75
"""Share of a picture that the cells of a tissue cover, at least."""
GOING_ON = 0.6
"""How often the cells of a tissue go on through all slices."""
SMALLEST = 10
"""Sections of fewer pixels are not seen."""

Spheroids = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Half the height of every object and where its middle lies, (256,) each, in slices."""


def through_time(rng: np.random.Generator, first: Scene, change: Change) -> list[Scene]:
    """Let the same happen to a scene once or several times."""
    scenes = [replace(first, source=identity(first.labels.shape))]
    between = int(rng.choice(len(STEPS), p=STEPS))
    for _ in range(1 + (between if change.travel <= CALM else min(between, 1))):
        scenes.append(_after(scenes[-1], next_scene(rng, scenes[-1], change)))
    return [scenes[0], scenes[-2], scenes[-1]]


def through_z(rng: np.random.Generator, widest: Scene, change: Change) -> list[Scene]:
    """Cut spheroids, whose widest sections a scene shows, at three heights; bend what is cut.

    What fills a tissue often goes on through many slices, and only what is inside of it ends.
    """
    heights = _heights(rng)
    goes_on = _fills(widest.labels) and rng.random() < GOING_ON
    outer, inner = _spheroids(rng), _spheroids(rng)
    scenes = [widest]
    for step in np.diff(heights):
        scenes.append(_bent(rng, scenes[-1], change, float(np.sqrt(abs(step)))))
    sections = []
    for scene, height in zip(scenes, heights, strict=True):
        labels = scene.labels if goes_on else _section(scene.labels, outer, height)
        nested = _section(scene.nested, inner, height)
        nested = np.where(labels == scene.labels, nested, 0).astype(np.int32)
        sections.append(replace(scene, labels=labels, nested=nested))
    return sections


def past_the_end(rng: np.random.Generator, widest: Scene, change: Change) -> list[Scene]:
    """Let objects be small on the frame before, and many gone on the next."""
    last = next_scene(rng, widest, change)
    before = dwindled(rng, widest, last)
    first = widest if rng.random() < FIRST_IS_WIDEST else before
    return [first, before, last]


def _heights(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Choose three heights, outward from the first; often the first is the one before, too."""
    away = rng.choice((0.0, np.round(log_uniform(rng, 1, FARTHEST))), p=(0.25, 0.75))
    step = rng.choice((1.0, 2.0), p=(0.85, 0.15))
    return np.array([0, away, away + step]) * rng.choice((-1, 1))


def _spheroids(rng: np.random.Generator) -> Spheroids:
    half = log_uniform(rng, *HALF_HEIGHTS) * np.exp(rng.normal(size=256) * rng.uniform(0, 0.4))
    spread = rng.choice((0.3, 1.0))
    return half, rng.uniform(-spread, spread, 256) * half


def _section(labels: Labels, spheroids: Spheroids, height: float) -> Labels:
    """Cut objects at a height; they are shown where they are widest."""
    half, middle = spheroids
    widths = np.sqrt(np.clip(1 - ((height - middle) / half) ** 2, 0, 1))
    areas = np.bincount(labels.ravel(), minlength=256) * widths**2
    widths = np.where(areas < SMALLEST, 0, widths)
    depth = np.asarray(ndimage.distance_transform_edt(~boundaries(labels)), np.float32)
    deepest = np.asarray(ndimage.maximum(depth, labels, np.arange(256)))
    shed = (deepest + 1) * (1 - widths)
    shed[0] = 0
    lost = (labels > 0) & (depth < shed[labels])
    section = np.where(lost, 0, labels).astype(np.int32)
    return _grown_into(section, lost) if _fills(labels) and section.any() else section


def _fills(labels: Labels) -> bool:
    return bool((labels > 0).mean() > FILLED)


def _grown_into(labels: Labels, lost: npt.NDArray[np.bool_]) -> Labels:
    """Let neighbours take what is lost, as in a tissue."""
    nearest = ndimage.distance_transform_edt(
        labels == 0, return_distances=False, return_indices=True
    )
    return np.where(lost, labels[tuple(nearest)], labels).astype(np.int32)


def _bent(rng: np.random.Generator, scene: Scene, change: Change, strength: float) -> Scene:
    """Bend a whole picture a little."""
    if not strength:
        return scene
    mild = Change(0.03, change.drift, change.growth * 0.5, change.bending, change.turning, 0, 0)
    source = flow(rng, len(scene.labels), mild, scene.radius)
    still = identity(scene.labels.shape)
    source = still + (source - still) * min(strength, 2.0)
    labels = taken(scene.labels, source)
    if _fills(scene.labels):
        edges = ndimage.map_coordinates(scene.labels, source, order=0, mode="nearest")
        labels = np.asarray(edges, np.int32)
    bent = replace(scene, labels=labels, nested=taken(scene.nested, source), source=source)
    return _after(scene, bent)


def _after(before: Scene, scene: Scene) -> Scene:
    """Let a scene find its texture on the first frame, by way of the frame before."""
    if before.source is None or scene.source is None:
        return scene
    there: Source = np.stack(
        [
            ndimage.map_coordinates(plane, scene.source, order=1, mode="nearest")
            for plane in before.source
        ]
    )
    return replace(scene, source=there)

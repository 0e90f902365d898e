"""Changes of a scene from a frame of a stack to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..label_images import Labels, Pixels, boundaries
from .random_fields import Field, blurred, log_uniform, texture
from .scenes import Scene

Source = npt.NDArray[np.float32]
"""(2, H, W), row and column of each pixel on the previous frame."""


@dataclass(frozen=True, slots=True)
class Change:
    """How much changes between two frames; all zero for a still."""

    travel: float
    """Typical path of an object, in its own diameters."""
    drift: float
    """Path of all objects together, in pixels."""
    growth: float
    """Standard deviation of the logarithm of an object's scale."""
    bending: float
    """Wobble of outlines, in radii."""
    turning: float
    """Typical rotation, in radians."""
    vanishing: float
    """Share of objects that are gone."""
    dividing: float
    """Share of objects that divide."""
    slicing: bool = False
    """Whether it is a step along z: objects that vanish were already small before."""


def draw_change(rng: np.random.Generator) -> Change:
    """Draw a still, a calm time-lapse, a wild time-lapse or a step along z."""
    kind = rng.choice(4, p=(0.13, 0.33, 0.24, 0.30))
    if kind == 0:
        return Change(0, 0, 0, 0, 0, 0, 0)
    if kind == 1:
        vanishing = rng.choice((0, rng.uniform(0, 0.1)))
        return Change(rng.uniform(0, 0.2), rng.uniform(0, 4), 0.04, 0.06, 0.1, vanishing, 0.03)
    if kind == 2:
        vanishing, travel = rng.uniform(0, 0.15), rng.uniform(0.2, 1.0)
        return Change(travel, rng.uniform(0, 12), 0.1, 0.12, 0.4, vanishing, 0.06)
    growth, vanishing = rng.uniform(0.03, 0.3), rng.uniform(0.05, 0.3)
    return Change(0.03, rng.uniform(0, 2), growth, 0.15, 0.03, vanishing, 0, slicing=True)


def next_scene(rng: np.random.Generator, scene: Scene, change: Change) -> Scene:
    """Return the scene on the next frame; objects keep their numbers."""
    if change == Change(0, 0, 0, 0, 0, 0, 0):
        return replace(scene, source=identity_source(scene.labels.shape))
    if scene.kind in ("tissue", "neurite") or (scene.labels > 0).mean() > 0.75:
        return _move_tissue(rng, scene, change)
    return _move_objects(rng, scene, change)


def shrunk(rng: np.random.Generator, first: Scene, second: Scene) -> Scene:
    """Shrink most objects of the first slice that are gone on the second, or none of them.

    Where none is shrunk, the slices are farther apart, and the object is known at its largest.
    """
    gone = ~np.isin(np.arange(256), second.labels) & (rng.random(256) < rng.choice((0, 0.85)))
    gone[0] = False
    deepest = ndimage.maximum(depth := _depths(first.labels), first.labels, np.arange(256))
    shed = gone * np.asarray(deepest, np.float32) * rng.uniform(0, 0.75, 256)
    lost = (first.labels > 0) & (depth < shed[first.labels])
    if not lost.any() or lost.all():
        return first
    labels = np.where(lost, 0, first.labels)
    if (first.labels > 0).mean() > 0.75 and (labels > 0).any():
        ground = lost | gone[labels] | (labels == 0)
        nearest = ndimage.distance_transform_edt(
            ground, return_distances=False, return_indices=True
        )
        labels = np.where(lost, labels[tuple(nearest)], labels)
    return replace(first, labels=labels, nested=np.where(labels == first.labels, first.nested, 0))


def flow(rng: np.random.Generator, size: int, change: Change, radius: float) -> Source:
    """Draw a smooth displacement of a whole frame."""
    grid = identity_source((size, size)) - size / 2
    angle, scale = rng.normal() * change.turning * 0.2, np.exp(rng.normal() * change.growth * 0.4)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turned = np.stack([cos * grid[0] - sin * grid[1], sin * grid[0] + cos * grid[1]])
    path = rng.normal(size=(2, 1, 1)) * (change.drift + change.travel * radius * 0.5)
    wobble = (change.bending + 0.3 * change.travel) * radius
    bends = np.stack([texture(rng, size, 4, min(1.0, 0.4 / radius)) for _ in range(2)])
    return np.asarray(turned + size / 2 + np.clip(path, -24, 24) + bends * wobble, np.float32)


def identity_source(shape: tuple[int, ...]) -> Source:
    """Return coordinates with which every pixel stays where it is."""
    return np.indices(shape).astype(np.float32)


def warped_labels(labels: Labels, source: Source) -> Labels:
    """Take labels from where each pixel was; beyond the frame there are none."""
    return np.asarray(ndimage.map_coordinates(labels, source, order=0, mode="constant"), np.int32)


def with_ghosts(
    rng: np.random.Generator,
    images: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    scenes: tuple[Scene, Scene],
) -> npt.NDArray[np.float32]:
    """Leave objects that went out of focus as a faint blur on the second image, (3, H, W)."""
    before, after = images
    still = np.isin(scenes[0].labels, np.unique(scenes[1].labels))
    left = ((scenes[0].labels > 0) & ~still & (scenes[1].labels == 0)).astype(np.float32)
    strength, radius = rng.uniform(0, 0.35), log_uniform(rng, 2, 8)
    faded = [blurred(channel, radius) for channel in (before - after) * left]
    return np.asarray(after + strength * np.stack(faded), np.float32)


def with_haze(
    rng: np.random.Generator,
    image: npt.NDArray[np.float32],
    scene: Scene,
    widest: tuple[npt.NDArray[np.float32], Scene],
) -> npt.NDArray[np.float32]:
    """Add the blurred light of what lies above and below a slice, (3, H, W).

    Parameters
    ----------
    widest : the same objects where they are largest: their image, (3, H, W), and scene.
    """
    whole, bodies = widest
    hidden = (bodies.labels > 0) & (scene.labels != bodies.labels)
    if bodies.kind not in ("tissue", "neurite"):
        hidden &= scene.labels == 0
    strengths = np.clip(rng.normal(rng.uniform(0, 0.6), 0.15, 256), 0, 0.85)
    shining = (whole - image) * hidden * strengths[bodies.labels]
    radius = log_uniform(rng, 1.5, 3 + 0.4 * bodies.radius)
    haze = [blurred(channel.astype(np.float32), radius) for channel in shining]
    return np.asarray(image + np.stack(haze), np.float32)


def _move_tissue(rng: np.random.Generator, scene: Scene, change: Change) -> Scene:
    """Move a tissue as a whole; cells that vanish are filled by a neighbour or left empty."""
    source = flow(rng, len(scene.labels), change, scene.radius)
    edges = ndimage.map_coordinates(scene.labels, source, order=0, mode="nearest")
    labels = np.asarray(edges, np.int32)
    gone = rng.random(256) < change.vanishing
    gone[0] = False
    hole = gone[labels]
    if rng.random() < 0.5 and hole.any() and not hole.all():
        nearest = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
        labels = labels[tuple(nearest)]
    else:
        labels = np.where(hole, 0, labels)
    nested = warped_labels(scene.nested, source)
    nested = np.where((labels == 0) | (rng.random(256) < change.vanishing)[nested], 0, nested)
    return replace(scene, labels=labels.astype(np.int32), nested=nested, source=source)


def _move_objects(rng: np.random.Generator, scene: Scene, change: Change) -> Scene:
    """Move every object on a path of its own."""
    source = identity_source(scene.labels.shape)
    labels = np.zeros_like(scene.labels)
    drift = rng.normal(size=2) * change.drift
    numbers = [int(number) for number in np.unique(scene.labels) if number]
    spare = iter(range(max(numbers, default=0) + 1, 251))
    for number in rng.permutation(numbers):
        if rng.random() < change.vanishing:
            continue
        mask = scene.labels == number
        halves = _divided(rng, mask, number, spare) if rng.random() < change.dividing else None
        for part, label in halves or [(mask, number)]:
            _move_object(rng, (labels, source), part, label, (change, drift))
    if change.slicing:
        _add_objects_in_focus(rng, scene, (labels, source), spare)
    nested = np.where(labels > 0, warped_labels(scene.nested, source), 0).astype(np.int32)
    return replace(scene, labels=labels, nested=nested, source=source)


def _move_object(
    rng: np.random.Generator,
    frame: tuple[Labels, Source],
    mask: Pixels,
    number: int,
    motion: tuple[Change, npt.NDArray[np.floating]],
) -> None:
    """Move an object, and write it and where its pixels came from into `frame`."""
    change, drift = motion
    rows, cols = np.nonzero(mask)
    if not len(rows):
        return
    centre = _centroid(mask)
    radius = np.sqrt(len(rows) / np.pi)
    path = drift + rng.normal(size=2) * change.travel * 1.4 * radius
    angle, scale = rng.normal() * change.turning, np.exp(rng.normal() * change.growth)
    reach = int(np.hypot(np.ptp(rows), np.ptp(cols)) * max(scale, 1) * 0.6) + 6
    corner = np.round(centre + path).astype(int) - reach
    grid = np.indices((2 * reach + 1,) * 2) + corner[:, None, None]
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    row, col = grid - (centre + path)[:, None, None]
    back = np.stack([cos * row - sin * col, sin * row + cos * col])
    back += centre[:, None, None] + _wobble(rng, len(row), change.bending * radius, radius)
    _write_object(frame, ndimage.map_coordinates(mask, back, order=0), number, (grid, back))


def _write_object(
    frame: tuple[Labels, Source],
    patch: Pixels,
    number: int,
    coordinates: tuple[npt.NDArray[np.intp], Source],
) -> None:
    labels, source = frame
    grid, back = coordinates
    visible = patch & ((grid >= 0) & (grid < len(labels))).all(0)
    row, col = grid[:, visible]
    free = labels[row, col] == 0
    labels[row[free], col[free]] = number
    source[:, row[free], col[free]] = back[:, visible][:, free]


def _wobble(rng: np.random.Generator, side: int, height: float, radius: float) -> Field:
    bends = rng.standard_normal((2, side, side)).astype(np.float32)
    width = max(1.5, radius * 0.5)
    bends = np.stack([blurred(bend, width) for bend in bends])
    return np.asarray(bends / (bends.std() + 1e-6) * height * 0.7, np.float32)


def _divided(
    rng: np.random.Generator, mask: Pixels, number: int, spare: Iterator[int]
) -> list[tuple[Pixels, int]]:
    """Divide an object across a random axis; the larger half keeps its number."""
    rows, cols = np.nonzero(mask)
    angle = rng.uniform(0, np.pi)
    grid = np.indices(mask.shape)
    side = (grid[0] - rows.mean()) * np.sin(angle) + (grid[1] - cols.mean()) * np.cos(angle) > 0
    halves = sorted((mask & side, mask & ~side), key=np.sum, reverse=True)
    return [(halves[0], number), (halves[1], next(spare, 0))]


def _add_objects_in_focus(
    rng: np.random.Generator,
    scene: Scene,
    frame: tuple[Labels, Source],
    spare: Iterator[int],
) -> None:
    """Let new objects come into focus near half of those that are gone; changes `frame`."""
    numbers = [int(number) for number in np.unique(scene.labels) if number]
    for number in np.setdiff1d(numbers, frame[0]):
        label = next(spare, 0)
        if rng.random() < 0.5 or not label:
            continue
        centre = _centroid(scene.labels == number)
        neighbour = scene.labels == rng.choice(numbers)
        beside = rng.normal(size=2) * 0.6 * np.sqrt(neighbour.sum() / np.pi)
        still = Change(0, 0, 0.2, 0.15, 0.5, 0, 0)
        _move_object(rng, frame, neighbour, label, (still, centre - _centroid(neighbour) + beside))


def _centroid(mask: Pixels) -> npt.NDArray[np.floating]:
    rows, cols = np.nonzero(mask)
    return np.array([rows.mean(), cols.mean()])


def _depths(labels: Labels) -> npt.NDArray[np.float32]:
    return np.asarray(ndimage.distance_transform_edt(~boundaries(labels)), np.float32)

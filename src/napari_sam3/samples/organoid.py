"""A z-stack of an organoid with its ground truth: crowded nuclei around a lumen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from .microscope import LayerData, Sample, haze, photograph

SHAPE = (24, 256, 256)
VOXEL = np.array([2.0, 0.5, 0.5])  # micrometers along z, row, col
CENTRE = np.array([24.0, 64.0, 64.0])  # of the organoid, micrometers
BODY = np.array([25.0, 56.0, 49.0])  # half axes of the organoid, micrometers
LUMEN_CENTRE = np.array([26.0, 58.0, 72.0])  # micrometers
LUMEN = np.array([13.0, 20.0, 17.0])  # its half axes, micrometers
SPACING = 9.8  # least distance of two nuclei, micrometers
BLUR = (1.0, 1.1, 1.1)  # of the microscope, in voxels


@dataclass(frozen=True, slots=True, eq=False)
class Nucleus:
    """An ellipsoid full of chromatin."""

    centre: NDArray[np.float64]  # (3,) micrometers along z, row, col
    axes: NDArray[np.float64]  # (3,) half axes, micrometers
    rotation: NDArray[np.float64]  # (3, 3), from the stack's axes to the ellipsoid's
    brightness: float  # photons per voxel


@cache
def organoid() -> Sample:
    """Make the stack, the same in every call; its arrays are read-only."""
    rng = np.random.default_rng(7)
    nuclei = [_nucleus(centre, rng) for centre in _packed_centres(rng)]
    light, labels = _draw(nuclei, rng)
    light = ndimage.gaussian_filter(light, BLUR, mode="nearest")
    light += np.stack([0.32 * haze(frame, 18) for frame in light]) + 4
    depth = np.arange(SHAPE[0], dtype=np.float32) / SHAPE[0]
    image = photograph(light * np.exp(-0.55 * depth)[:, None, None], rng)
    image.setflags(write=False)
    labels.setflags(write=False)
    return Sample(image, labels)


def zstack() -> list[LayerData]:
    """Return nuclei of an organoid, (24, 256, 256), as an image layer in micrometers."""
    settings = {
        "name": "organoid",
        "scale": (2.0, 0.5, 0.5),
        "axis_labels": ("z", "y", "x"),
        "units": ("micrometer", "micrometer", "micrometer"),
        "contrast_limits": (100, 380),
    }
    return [(organoid().image, settings, "image")]


def _packed_centres(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw random points in the organoid, and keep those far enough from each other."""
    points = CENTRE + (rng.uniform(-1, 1, (6000, 3))) * BODY
    in_body = (((points - CENTRE) / (BODY - 4)) ** 2).sum(axis=1) < 1
    in_lumen = (((points - LUMEN_CENTRE) / LUMEN) ** 2).sum(axis=1) < 1
    kept: list[NDArray[np.float64]] = []
    for point in points[in_body & ~in_lumen]:
        if all(((point - centre) ** 2).sum() > SPACING**2 for centre in kept):
            kept.append(point)
    return np.array(kept)


def _nucleus(centre: NDArray[np.float64], rng: np.random.Generator) -> Nucleus:
    axes = rng.uniform(4.8, 6.0) * rng.uniform(0.8, 1.2, 3)
    rotation = Rotation.random(rng=rng).as_matrix()
    return Nucleus(centre, axes, rotation, float(rng.lognormal(np.log(80), 0.28)))


def _draw(
    nuclei: list[Nucleus], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Draw light and labels; overlapping nuclei share voxels by their depth in each."""
    light = np.zeros(SHAPE, np.float32)
    labels = np.zeros(SHAPE, np.uint16)
    nearest = np.ones(SHAPE, np.float32)
    chromatin = _chromatin(rng)
    for value, nucleus in enumerate(nuclei, start=1):
        box = _box_around(nucleus)
        distance = _distance(nucleus, box)
        inside = distance < nearest[box]
        nearest[box][inside] = distance[inside]
        labels[box][inside] = value
        rim = 1 - 0.25 * distance[inside] ** 4
        light[box][inside] = nucleus.brightness * rim * chromatin[box][inside]
    return light, labels


def _box_around(nucleus: Nucleus) -> tuple[slice, ...]:
    low = np.floor((nucleus.centre - nucleus.axes.max()) / VOXEL).astype(int)
    high = np.ceil((nucleus.centre + nucleus.axes.max()) / VOXEL).astype(int) + 1
    return tuple(slice(max(0, first), max(0, last)) for first, last in zip(low, high, strict=True))


def _distance(nucleus: Nucleus, box: tuple[slice, ...]) -> NDArray[np.float32]:
    """Return the distance of the box's voxels from the centre, 1 on the surface."""
    grid = np.stack(np.meshgrid(*_steps(box), indexing="ij"), axis=-1)
    along = (grid * VOXEL - nucleus.centre) @ nucleus.rotation.T / nucleus.axes
    return np.sqrt((along**2).sum(axis=-1)).astype(np.float32)


def _steps(box: tuple[slice, ...]) -> list[NDArray[np.int64]]:
    return [np.arange(*side.indices(size)) for side, size in zip(box, SHAPE, strict=True)]


def _chromatin(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how much DNA each voxel of a nucleus holds, around 1: clumps and dark nucleoli."""
    coarse = rng.normal(size=(SHAPE[0], 128, 128)).astype(np.float32)
    clumps = ndimage.gaussian_filter(coarse, (0.9, 1.5, 1.5))
    clumps = ndimage.zoom(clumps / clumps.std(), (1, 2, 2), order=1)
    return np.clip(1 + 0.3 * clumps - 0.45 * (clumps < -1.3), 0.15, None)

"""Pairs and triplets of frames to train on, and the shards that hold them on disk.

A shard is an array (N, 2, 6, 256, 256) of uint8 with pairs, or (N, 3, 6, 256, 256) with triplets.
The six planes of a frame are red, green, blue, labels, nested labels and depth inside the labels;
an object has the same number on all frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .label_images import Labels, centre_distance, offset_outlines
from .synthetic.appearance import RgbImage
from .synthetic.movies import draw_change, next_scene, shrunk
from .synthetic.rendering import Modality, draw_modality, render_frames, stained_objects
from .synthetic.scenes import Scene, draw_scene
from .synthetic.triplets import ending_slices, time_frames, z_slices

SIZE = 256
"""Side of the frames, in pixels."""
SPHEROID_SHARE = 0.7
"""Share of the synthetic z-stacks whose objects are spheroids; in the rest, objects end at once."""

Planes = npt.NDArray[np.uint8]
"""(6, 256, 256), a frame."""
Pair = npt.NDArray[np.uint8]
"""(2, 6, 256, 256), the previous and the current frame."""
Triplet = npt.NDArray[np.uint8]
"""(3, 6, 256, 256), the first, the previous and the current frame."""


def synthetic_pair(rng: np.random.Generator) -> Pair:
    """Draw two frames of a synthetic movie or z-stack."""
    first = draw_scene(rng, SIZE)
    modality, change = draw_modality(rng, first.kind), draw_change(rng)
    second = next_scene(rng, first, change)
    shown = [shrunk(rng, first, second), second, first] if change.slicing else [first, second]
    scenes = stained_objects(modality, shown)
    return labelled_frames(rng, scenes[:2], modality, *scenes[2:])


def synthetic_triplet(rng: np.random.Generator) -> Triplet:
    """Draw three frames of a synthetic movie or z-stack."""
    widest = draw_scene(rng, SIZE)
    modality, change = draw_modality(rng, widest.kind), draw_change(rng)
    if not change.slicing:
        scenes = time_frames(rng, widest, change)
    else:
        scenes = (z_slices if rng.random() < SPHEROID_SHARE else ending_slices)(rng, widest, change)
    whole = [widest] if change.slicing else []
    shown = stained_objects(modality, [*scenes, *whole])
    frames = labelled_frames(rng, shown[:3], modality, *shown[3:])
    if scenes[1] is scenes[0]:
        frames[1] = frames[0]
    return frames


def labelled_frames(
    rng: np.random.Generator, scenes: Sequence[Scene], modality: Modality, *whole: Scene
) -> npt.NDArray[np.uint8]:
    """Render scenes as `render_frames` does, outlined with the same margin; (N, 6, 256, 256)."""
    images = render_frames(rng, scenes, modality, *whole)
    dark, bright = np.percentile(images[0], (0.1, 99.9))
    margin = int(rng.choice((-1, 0, 1), p=(0.2, 0.6, 0.2)))
    frames = [
        stacked_planes(
            (image - dark) / (bright - dark + 1e-6),
            offset_outlines(scene.labels, margin),
            scene.nested,
        )
        for image, scene in zip(images, scenes, strict=True)
    ]
    return np.stack(frames)


def stacked_planes(image: RgbImage, labels: Labels, nested: Labels) -> Planes:
    """Return the planes of a frame; `image` in 0..1."""
    colours = np.round(np.clip(image, 0, 1) * 255)
    depth = np.round(centre_distance(labels) * 255)
    planes = [*colours, labels, nested, depth]
    return np.stack([plane.astype(np.uint8) for plane in planes])


def write_shard(path: Path, entries: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Write the pairs or triplets of a shard; the file appears when it is complete."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.save(file, np.stack(entries))
    unfinished.rename(path)

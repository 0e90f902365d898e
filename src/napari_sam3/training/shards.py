"""Frame pairs on disk, ready to be trained on.

A shard is an array (N, 2, 6, 256, 256) of uint8: pairs, frames, planes. The planes are red, green,
blue, labels, nested labels and depth inside the labels; objects have one number on both frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .label_images import centre_distance, redrawn
from .synthetic.appearance import Picture
from .synthetic.movies import draw_change, dwindled, next_scene
from .synthetic.rendering import Look, choose_appearance, film, focused_on
from .synthetic.scenes import Labels, Scene, draw_scene

SIZE = 256
Pair = npt.NDArray[np.uint8]
"""(2, 6, 256, 256)"""


def synthetic_pair(rng: np.random.Generator) -> Pair:
    """Invent two frames."""
    first = draw_scene(rng, SIZE)
    look, change = choose_appearance(rng, first.kind), draw_change(rng)
    second = next_scene(rng, first, change)
    seen = [dwindled(rng, first, second), second, first] if change.slicing else [first, second]
    scenes = focused_on(look, seen)
    return filmed(rng, scenes[:2], look, *scenes[2:])


def filmed(
    rng: np.random.Generator, scenes: Sequence[Scene], look: Look, *whole: Scene
) -> npt.NDArray[np.uint8]:
    """Film scenes as `film` does, and label all frames by one habit; (N, 6, 256, 256)."""
    pictures = film(rng, scenes, look, *whole)
    dark, bright = np.percentile(pictures[0], (0.1, 99.9))
    habit = int(rng.choice((-1, 0, 1), p=(0.2, 0.6, 0.2)))
    frames = [
        packed(
            (picture - dark) / (bright - dark + 1e-6), redrawn(scene.labels, habit), scene.nested
        )
        for picture, scene in zip(pictures, scenes, strict=True)
    ]
    return np.stack(frames)


def packed(picture: Picture, labels: Labels, nested: Labels) -> npt.NDArray[np.uint8]:
    """Put one frame into the planes of a shard; `picture` in 0..1."""
    colours = np.round(np.clip(picture, 0, 1) * 255)
    depth = np.round(centre_distance(labels) * 255)
    planes = [*colours, labels, nested, depth]
    return np.stack([plane.astype(np.uint8) for plane in planes])


def write_shard(path: Path, entries: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Write the pairs or trios of one shard; the file appears when it is complete."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.save(file, np.stack(entries))
    unfinished.rename(path)

"""Three frames of one stack: the first, the one before, and the present one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tifffile import TiffFile

from .label_images import numbered, tidied
from .real.real_images import SMALLEST, RealPairs, cropped, labels_of, next_frame, three_channels
from .shards import SIZE, filmed, packed
from .synthetic.movies import draw_change
from .synthetic.rendering import choose_appearance, focused_on
from .synthetic.scenes import draw_scene
from .synthetic.triplets import past_the_end, through_time, through_z

Triplet = npt.NDArray[np.uint8]
"""(3, 6, 256, 256) the planes of `shards`, for the first frame, the one before, and now."""
FARTHEST = 8
"""Frames of a real stack from the first to the one before, at most."""
SPHEROIDS = 0.7
"""Share of the invented z-stacks in which objects are cut as spheroids; others end at once."""
STACKS = 8.0
"""How much oftener than a still a stack is drawn."""


def synthetic_triplet(rng: np.random.Generator) -> Triplet:
    """Invent three frames of a movie or a z-stack."""
    widest = draw_scene(rng, SIZE)
    look, change = choose_appearance(rng, widest.kind), draw_change(rng)
    if not change.slicing:
        scenes = through_time(rng, widest, change)
    else:
        scenes = (through_z if rng.random() < SPHEROIDS else past_the_end)(rng, widest, change)
    whole = [widest] if change.slicing else []
    seen = focused_on(look, [*scenes, *whole])
    frames = filmed(rng, seen[:3], look, *seen[3:])
    if scenes[1] is scenes[0]:
        frames[1] = frames[0]
    return frames


class RealTriplets(RealPairs):
    """Cuts three frames out of labelled pictures, more often of stacks than of stills."""

    def __init__(self, images: Sequence[Path]) -> None:
        super().__init__(images)
        shares = self.shares * [STACKS if _is_stack(labels_of(path)) else 1.0 for path in images]
        self.shares = shares / shares.sum()

    def __call__(self, rng: np.random.Generator) -> Triplet:
        """Draw three frames of a stack, or a picture that is moved, bent and lit anew."""
        image, labels = self.drawn(rng)
        if labels.ndim == 2:
            picture, labels = cropped(rng, three_channels(image[None]), labels[None])
            first = packed(picture[0], _tidied_numbers(labels)[0], np.zeros_like(labels[0]))
            before = first if rng.random() < 0.4 else _next(rng, first)
            return np.stack([first, before, _next(rng, before)])
        chosen = _three_frames(rng, len(labels))
        pictures, labels = cropped(rng, three_channels(image[chosen]), labels[chosen])
        return np.stack(
            [
                packed(picture, frame, np.zeros_like(frame))
                for picture, frame in zip(pictures, _tidied_numbers(labels), strict=True)
            ]
        )


def _tidied_numbers(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    return numbered(np.stack([tidied(frame, SMALLEST) for frame in labels]))


def _is_stack(labels: Path) -> bool:
    if labels.suffix.lower() == ".png":
        return False
    with TiffFile(labels) as file:
        return file.series[0].ndim > 2


def _next(rng: np.random.Generator, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    picture = np.asarray(frame[:3] / np.float32(255), np.float32)
    return next_frame(rng, picture, frame[3].astype(np.int32))


def _three_frames(rng: np.random.Generator, count: int) -> list[int]:
    """Choose a frame, one up to some frames away, and the one after that, in either direction."""
    step = min(2 if rng.random() < 0.2 else 1, count - 1)
    away = int(rng.integers(FARTHEST + 1)) if rng.random() < 0.7 else 0
    away = min(away, count - 1 - step)
    first = int(rng.integers(count - away - step))
    if rng.random() < 0.5:
        return [first, first + away, first + away + step]
    return [first + away + step, first + step, first]

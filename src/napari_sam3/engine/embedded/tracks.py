"""What the embedded network remembers of an object from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .crops import Crop
from .network import Memory, Network
from .prompt_maps import SIDE, halved, render
from .prompting import crops_around, extent_of
from .pyramid import Pyramid
from .questions import Guess, Question

FADED = 0.2
"""An object whose contrast falls under this share of its first one has left."""
FAINT = 0.04
"""A contrast below this says nothing about an object; brightness is 0..1."""
CLEAR = 0.8
"""Nor does one below this share of the spread of brightness inside and around the object."""
RING = 3
"""Width of the surroundings that an object is compared with, in cells of the maps."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object on the last frame it was seen on."""

    crop: Crop  # around the object
    coarse: Tensor  # (1, 64, 28, 28) float16 features of that frame
    mask: NDArray[np.float32]  # (112, 112) share of each pixel of the crop that was the object
    contrast: float  # brightness inside minus around it, on the first frame; 0 if that is unclear

    @property
    def cells(self) -> NDArray[np.float32]:
        """Share of each cell of the prompt maps that was the object, (56, 56)."""
        return halved(self.mask)


def start_track(
    network: Network, track: Track | None, pyramid: Pyramid, mask: NDArray[np.bool_]
) -> Track:
    """Remember an object by its mask, (H, W), or go on with its track."""
    crop = crops_around(extent_of(mask), pyramid)[0]
    coarse = pyramid.cut(network, [crop]).coarse
    cut = crop.cut(mask)
    contrast = _first_contrast(cut, crop, pyramid) if track is None else track.contrast
    return Track(crop, coarse, cut, contrast)


def question_about(track: Track) -> Question:
    """Ask where a tracked object is now."""
    share = F.avg_pool2d(torch.from_numpy(track.mask)[None, None], 4)
    memory = Memory(track.coarse.float(), share.to(track.coarse.device))
    return Question(track.crop, render(mask=track.mask), memory)


def nearest(guesses: list[Guess], track: Track) -> list[Guess]:
    """Order guesses, first those that look like the object did before."""
    return sorted(guesses, key=lambda guess: -guess.score * _likeness(guess, track))


def presence_of(guess: Guess, track: Track, pyramid: Pyramid) -> float:
    """How sure it is that the guess shows the tracked object, 0..1."""
    inside = guess.logits > 0
    if not inside.any():
        return 0.0
    if not track.contrast:
        return guess.presence
    left = contrast_of(inside, guess.crop, pyramid) / track.contrast
    return guess.presence if left >= FADED else 0.0


def contrast_of(inside: NDArray[np.bool_], crop: Crop, pyramid: Pyramid) -> float:
    """Brightness inside a mask (56, 56) of a crop minus that around it."""
    within, around = _brightness(inside, crop, pyramid)
    return float(within.mean() - around.mean()) if within.size and around.size else 0.0


def _first_contrast(cut: NDArray[np.float32], crop: Crop, pyramid: Pyramid) -> float:
    """Contrast of a mask (112, 112) of a crop, if the object stands out by its brightness."""
    inside = halved(cut) > 0.5
    contrast = contrast_of(inside, crop, pyramid)
    if abs(contrast) < FAINT:
        return 0.0
    within, around = _brightness(inside, crop, pyramid)
    return contrast if abs(contrast) >= CLEAR * (within.std() + around.std()) / 2 else 0.0


def _brightness(
    inside: NDArray[np.bool_], crop: Crop, pyramid: Pyramid
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Brightness of the cells inside a mask (56, 56), and of those around it."""
    near = ndimage.binary_dilation(inside, iterations=1 + RING)
    ring = near & ~ndimage.binary_dilation(inside)
    grey = _grey(crop, pyramid)
    seen = ~np.isnan(grey)
    return grey[inside & seen], grey[ring & seen]


def _likeness(guess: Guess, track: Track) -> float:
    now, before = guess.logits > 0, track.cells > 0.5
    shared = np.count_nonzero(now & before)
    return float((shared + 1) / (np.count_nonzero(now | before) + 1)) ** 0.5


def _grey(crop: Crop, pyramid: Pyramid) -> NDArray[np.float32]:
    """Brightness of a crop, (56, 56); NaN off the image."""
    grey = np.full((crop.side, crop.side), np.nan, np.float32)
    rows, cols = crop.window(pyramid.shape)
    grey[crop.inside(pyramid.shape)] = pyramid.image[:, rows, cols].float().mean(0).cpu().numpy()
    step = crop.side // SIDE
    return grey.reshape(SIDE, step, SIDE, step).mean((1, 3), dtype=np.float32)

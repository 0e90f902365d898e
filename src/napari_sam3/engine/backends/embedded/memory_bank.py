"""What the embedded network remembers of an object from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ....values import Mask
from .decoder_queries import SIDE, DecoderOutput, DecoderQuery, ask, halved, render
from .mask_decoding import TINY, crops_around, extent_of
from .network import COARSE_STRIDE, Memory, Network
from .pyramid import ZOOM, Crop, Pyramid

KEPT = 0.5
"""An object that keeps this share of its first contrast has not faded."""
FADING = 6.0
"""How much speaks against one that has lost all of it, in logits."""
REVERSED = -0.5
"""One whose contrast is below this share has not faded: it is dark now and was bright, or so."""
FAINT = 0.04
"""A contrast below this says nothing about an object; brightness is 0..1."""
CLEAR = 0.8
"""Nor does one below this share of the spread of brightness inside and around the object."""
FITTING = 0.75
"""Masks of an object that are expected to overlap it by more than this, of late, speak for it."""
FIT_COUNTS = 10.0
"""How much they do, in logits per overlap of 1."""
LATEST = 0.5
"""Weight of the newest frame in that expectation; the older, the less."""
SUREST = 1e-4
"""The network is never surer than this, or less sure, that an object is there."""
MARGINS = np.arange(0, 2.1, 0.25, dtype=np.float32)
"""How much farther out than the network does a first mask may be drawn, in logits."""
RING = 3
"""Width of the surroundings that an object is compared with, in cells of the maps."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object on the last frame it was seen on."""

    crop: Crop  # around the object
    coarse: Tensor  # (1, 64, 28, 28) float16 features of that frame
    mask: NDArray[np.float32]  # (112, 112) share of each pixel of the crop that was the object
    first: Mapping[float, Memory]  # of the frame it was outlined on, by scale; in half precision
    contrast: float  # brightness inside minus around it, on the first frame; 0 if that is unclear
    margin: float = 0.0  # added to logits, so that outlines lie as far out as the first one
    trust: float = 1.0  # how well its masks of late are expected to fit, 0..1

    @property
    def cells(self) -> NDArray[np.float32]:
        """Share of each cell of the prompt maps that was the object, (56, 56)."""
        return halved(self.mask)


def start_track(network: Network, track: Track | None, pyramid: Pyramid, found: Mask) -> Track:
    """Remember an object by what was found of it, or go on with its track."""
    crop = crops_around(extent_of(found.pixels), pyramid)[0]
    coarse = pyramid.cut(network, [crop]).coarse
    cut = crop.cut(found.pixels)
    if track is not None:
        trust = _trust(track, found.score)
        return replace(track, crop=crop, coarse=coarse, mask=cut, trust=trust)
    seen = _seen_first(network, found, crop, pyramid)
    first = Track(crop, coarse, cut, seen, _first_contrast(cut, crop, pyramid))
    return replace(first, margin=_margin(network, first, pyramid))


def memory_query(track: Track) -> DecoderQuery:
    """Ask where a tracked object is now."""
    scale = min(track.first, key=lambda one: abs(np.log(one / track.crop.scale)))
    memory = _memory(track.coarse, track.mask)
    return DecoderQuery(track.crop, render(mask=track.mask), memory, track.first[scale])


def as_drawn(guesses: Sequence[DecoderOutput], track: Track) -> list[DecoderOutput]:
    """Move the outlines of guesses as far out as the first mask of a track was drawn.

    People outline a cell with its halo or without. A network that sees it smaller would take off
    a little more on every frame, since each mask asks for the next one.
    """
    return [replace(guess, logits=guess.logits + np.float32(track.margin)) for guess in guesses]


def nearest(guesses: list[DecoderOutput], track: Track) -> list[DecoderOutput]:
    """Order guesses, first those that look like the object did before."""
    return sorted(guesses, key=lambda guess: -guess.score * _similarity(guess, track))


def presence_of(guess: DecoderOutput, track: Track, pyramid: Pyramid) -> float:
    """How sure it is that the guess shows the tracked object, 0..1.

    What the network says counts, and how well the latest masks fit: a poor fit on one frame is no
    end, for cells blur and come back. What fades against its surroundings has to convince more.
    """
    inside = guess.logits > 0
    if not inside.any():
        return 0.0
    share = np.clip(guess.presence, SUREST, 1 - SUREST)
    evidence = np.log(share / (1 - share)) + FIT_COUNTS * (_trust(track, guess.score) - FITTING)
    if track.contrast:
        left = contrast_of(inside, guess.crop, pyramid) / track.contrast
        evidence -= FADING * (1 - np.clip(left, 0, KEPT) / KEPT) * (left >= REVERSED)
    return float(1 / (1 + np.exp(-evidence)))


def contrast_of(inside: NDArray[np.bool_], crop: Crop, pyramid: Pyramid) -> float:
    """Brightness inside a mask (56, 56) of a crop minus that around it."""
    within, around = _brightness(inside, crop, pyramid)
    return float(within.mean() - around.mean()) if within.size and around.size else 0.0


def _seen_first(network: Network, found: Mask, crop: Crop, pyramid: Pyramid) -> dict[float, Memory]:
    """Remember an object on the scale it is looked at, and on those next to it: it may shrink."""
    extent = extent_of(found.pixels)
    size = float((extent[2:] - extent[:2]).max())
    row, col = (extent[:2] + extent[2:]) / 2
    scales = [scale for scale in pyramid.scales if scale < ZOOM or size <= 2 * TINY]
    near = [scale for scale in scales if crop.scale / 2 <= scale <= crop.scale * 2]
    crops = [Crop.around(row, col, scale) for scale in near]
    coarse = pyramid.cut(network, crops).coarse
    return {
        one.scale: _memory(seen[None], one.cut(found.pixels))
        for one, seen in zip(crops, coarse, strict=True)
    }


def _memory(coarse: Tensor, mask: NDArray[np.float32]) -> Memory:
    """Turn features (1, 64, 28, 28) and a mask (112, 112) of one crop into what is remembered."""
    share = F.avg_pool2d(torch.from_numpy(mask)[None, None], COARSE_STRIDE)
    return Memory(coarse, share.to(coarse.device))


def _trust(track: Track, score: float) -> float:
    return LATEST * score + (1 - LATEST) * track.trust


def _first_contrast(cut: NDArray[np.float32], crop: Crop, pyramid: Pyramid) -> float:
    """Contrast of a mask (112, 112) of a crop, if the object stands out by its brightness."""
    inside = halved(cut) > 0.5
    contrast = contrast_of(inside, crop, pyramid)
    if abs(contrast) < FAINT:
        return 0.0
    within, around = _brightness(inside, crop, pyramid)
    return contrast if abs(contrast) >= CLEAR * (within.std() + around.std()) / 2 else 0.0


def _margin(network: Network, track: Track, pyramid: Pyramid) -> float:
    """Find out how far out a first mask lies, by asking for it on its own frame."""
    guess = nearest(ask(network, pyramid, [memory_query(track)])[0], track)[0]
    logits = ndimage.zoom(guess.logits, 2, order=1, mode="nearest", grid_mode=True)
    fits = [_overlap(logits + margin > 0, track.mask > 0.5) for margin in MARGINS]
    return float(MARGINS[np.argmax(np.round(fits, 2))])


def _brightness(
    inside: NDArray[np.bool_], crop: Crop, pyramid: Pyramid
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Brightness of the cells inside a mask (56, 56), and of those around it."""
    near = ndimage.binary_dilation(inside, iterations=1 + RING)
    ring = near & ~ndimage.binary_dilation(inside)
    grey = _grey(crop, pyramid)
    seen = ~np.isnan(grey)
    return grey[inside & seen], grey[ring & seen]


def _similarity(guess: DecoderOutput, track: Track) -> float:
    return _overlap(guess.logits > 0, track.cells > 0.5) ** 0.5


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    shared = np.count_nonzero(one & other)
    return float((shared + 1) / (np.count_nonzero(one | other) + 1))


def _grey(crop: Crop, pyramid: Pyramid) -> NDArray[np.float32]:
    """Brightness of a crop, (56, 56); NaN off the image."""
    grey = np.full((crop.side, crop.side), np.nan, np.float32)
    rows, cols = crop.window(pyramid.shape)
    grey[crop.inside(pyramid.shape)] = pyramid.image[:, rows, cols].float().mean(0).cpu().numpy()
    step = crop.side // SIDE
    return grey.reshape(SIDE, step, SIDE, step).mean((1, 3), dtype=np.float32)

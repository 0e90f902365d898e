"""Finding all objects of an image by clicking everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ....values import Candidates, Mask
from .mask_decoding import DecoderOutput, DecoderQuery, PromptDecoder, View, draw
from .preprocessing import Maps, Scaling

CLICKS = 32
"""The most clicks along each side of the image."""
PIXELS = 8
"""No two clicks are closer than this, in pixels of the decoder's masks."""
BATCH = 64
"""So many clicks are answered before what they found is compared."""
SCORE = 0.5
"""The lowest score of a candidate."""
STABLE = 0.85
"""The lowest share of a candidate that must stay wherever its logits are cut."""
SHIFT = 1.0
"""How far below and above zero the logits are cut to see that."""
SHARED = 0.7
"""Two masks whose intersection is a larger share of their union are the same object."""
LARGEST = 0.5
"""What covers more of the image is its background."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What may be an object, as the decoder drew it."""

    logits: Tensor  # (h, w) float16
    mask: Mask  # where they are positive, in their own pixels


def everything(decoder: PromptDecoder, maps: Maps) -> Candidates:
    """Find all objects of an image with a model for clicks."""
    return find_all(decoder.view(maps))


def find_all(view: View) -> Candidates:
    """Find all objects of an image as a mask decoder sees it."""
    clicks = _clicks(view)
    pieces: list[Piece] = []
    for start in range(0, len(clicks), BATCH):
        guesses = view.guess(clicks[start : start + BATCH])
        pieces = distinct([*pieces, *_pieces(guesses, view)])
    return _candidates(pieces, view.scaling)


def distinct(pieces: Sequence[Piece]) -> list[Piece]:
    """Leave out what is the same object as a better piece; return the best pieces first."""
    kept: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: -piece.mask.score):
        if all(piece.mask.iou(other.mask) <= SHARED for other in kept):
            kept.append(piece)
    return kept


def _clicks(view: View) -> list[DecoderQuery]:
    """Ask about the middle of every field of a grid."""
    count = max(min(CLICKS, view.mask_side // PIXELS), 1)
    middles = (np.arange(count) + 0.5) / count
    places = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
    points = view.scaling.points(places * view.scaling.shape - 0.5)
    inside = np.ones(1, np.int32)
    return [DecoderQuery(point[None], inside, None, None) for point in points]


def _pieces(guesses: Sequence[DecoderOutput], view: View) -> Iterator[Piece]:
    rows, cols = view.scaling.filled(view.mask_side)
    for guess in guesses:
        stable = stability(guess.logits)
        for logits, score, share in zip(guess.logits, guess.scores, stable, strict=True):
            if score < SCORE or share < STABLE:
                continue
            mask = (logits > 0).cpu().numpy()
            if 0 < mask[:rows, :cols].sum() <= LARGEST * rows * cols:
                yield Piece(logits.cpu().half(), Mask.of(mask, float(score)).trimmed())


def stability(logits: Tensor) -> Tensor:
    """Return which share of each mask, (K, h, w), stays when it is cut higher or lower, (K,)."""
    least = (logits > SHIFT).flatten(1).sum(1)
    most = (logits > -SHIFT).flatten(1).sum(1)
    return least / torch.clamp(most, min=1)


def _candidates(pieces: Sequence[Piece], scaling: Scaling) -> Candidates:
    """Draw pieces on the image one by one, and keep what is not empty."""
    drawn = (Mask.of(draw(piece.logits, scaling), piece.mask.score) for piece in pieces)
    masks = [mask.trimmed() for mask in drawn if mask.area]
    return Candidates.of(masks, scaling.shape)

"""Automatic mask generation: a grid of points, whose masks are filtered and deduplicated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ....values import Candidates, Mask
from .mask_decoding import DecoderOutput, DecoderQuery, ImageDecoder, upscaled_mask
from .preprocessing import Resizing

POINTS_PER_SIDE = 32
"""The most points along each side of the image."""
POINT_SPACING = 8
"""No two points are closer than this, in pixels of the decoder's masks."""
POINTS_PER_BATCH = 64
"""So many points are decoded before their masks are deduplicated."""
PREDICTED_IOU = 0.5
"""The lowest predicted intersection over union of a mask that is kept."""
STABILITY = 0.85
"""The lowest stability score of a mask that is kept."""
STABILITY_OFFSET = 1.0
"""How far below and above zero the logits are thresholded for the stability score."""
DUPLICATE_IOU = 0.7
"""Two masks with a larger intersection over union are the same object."""
BACKGROUND_SHARE = 0.5
"""A mask of a larger share of the image is its background."""


@dataclass(frozen=True, slots=True, eq=False)
class GridMask:
    """The mask of a point, as the decoder predicts it."""

    logits: Tensor  # (h, w) float16
    mask: Mask  # where they are positive, in their own pixels


def generate_masks(decoder: ImageDecoder) -> Candidates:
    """Detect all objects of an image by the points of a grid."""
    points = _grid_queries(decoder)
    kept: list[GridMask] = []
    for start in range(0, len(points), POINTS_PER_BATCH):
        outputs = decoder.decode(points[start : start + POINTS_PER_BATCH])
        kept = suppress_duplicates([*kept, *_filtered_masks(outputs, decoder)])
    return _candidates(kept, decoder.resizing)


def suppress_duplicates(masks: Sequence[GridMask]) -> list[GridMask]:
    """Apply non-maximum suppression to masks; return what is kept, the best first."""
    kept: list[GridMask] = []
    for mask in sorted(masks, key=lambda mask: -mask.mask.score):
        if all(mask.mask.iou(better.mask) <= DUPLICATE_IOU for better in kept):
            kept.append(mask)
    return kept


def stability_scores(logits: Tensor) -> Tensor:
    """Return the stability scores, (K,), of logits (K, h, w).

    They are the intersection over union of the masks at a higher and at a lower threshold.
    """
    high = (logits > STABILITY_OFFSET).flatten(1).sum(1)
    low = (logits > -STABILITY_OFFSET).flatten(1).sum(1)
    return high / torch.clamp(low, min=1)


def _grid_queries(decoder: ImageDecoder) -> list[DecoderQuery]:
    """Return a positive point in the middle of every cell of the grid."""
    count = max(min(POINTS_PER_SIDE, decoder.mask_side // POINT_SPACING), 1)
    middles = (np.arange(count) + 0.5) / count
    grid = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
    points = decoder.resizing.points(grid * decoder.resizing.shape - 0.5)
    positive = np.ones(1, np.int32)
    return [DecoderQuery(point[None], positive, None, None) for point in points]


def _filtered_masks(outputs: Sequence[DecoderOutput], decoder: ImageDecoder) -> Iterator[GridMask]:
    rows, cols = decoder.resizing.unpadded(decoder.mask_side)
    for output in outputs:
        stability = stability_scores(output.logits)
        for logits, score, stable in zip(output.logits, output.scores, stability, strict=True):
            if score < PREDICTED_IOU or stable < STABILITY:
                continue
            pixels = (logits > 0).cpu().numpy()
            if 0 < pixels[:rows, :cols].sum() <= BACKGROUND_SHARE * rows * cols:
                yield GridMask(logits.cpu().half(), Mask.of(pixels, float(score)).trimmed())


def _candidates(masks: Sequence[GridMask], resizing: Resizing) -> Candidates:
    """Upscale masks to the image one by one, and keep what is not empty."""
    upscaled = (Mask.of(upscaled_mask(mask.logits, resizing), mask.mask.score) for mask in masks)
    return Candidates.of([mask.trimmed() for mask in upscaled if mask.area], resizing.shape)

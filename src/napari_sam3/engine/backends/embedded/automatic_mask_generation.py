"""Automatic mask generation: all objects of an image, from the dense head of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import reconstruction
from skimage.segmentation import watershed
from torch import Tensor

from ....values import Box, Candidates, Mask
from .feature_pyramid import FeatureLevel, FeaturePyramid, zoomed_level
from .network import FINE_STRIDE, Network
from .prompt_encoder import TINY_SIZE

COARSEST_SCALE = 0.5
"""Masks are generated on this scale and finer scales."""
SMALLEST_AREA = 12
"""Fewer pixels of the image are no object."""
DUPLICATE_SHARE = 0.35
"""A candidate that shares more than this of its area with better candidates is a duplicate."""


@dataclass(frozen=True, slots=True)
class PeakThresholds:
    """What tells the centres of objects from other peaks of the centre distance."""

    rise: float = 0.4  # two peaks with no valley of this depth between them are one object
    height: float = 0.4  # how certain the centre of an object must be


CLEAR_PEAKS = PeakThresholds()


def generate_masks(network: Network, pyramid: FeaturePyramid) -> Candidates:
    """Return the objects of an image, from all levels on which they may be seen."""
    levels = [level for level in pyramid.levels if level.scale >= COARSEST_SCALE]
    masks = [mask for level in levels for mask in level_masks(level, pyramid.shape)]
    if masks and np.median([mask.area for mask in masks]) < TINY_SIZE**2:
        masks += level_masks(zoomed_level(network, pyramid), pyramid.shape)
    return Candidates.of(suppress_duplicates(masks, pyramid.shape), pyramid.shape)


def level_masks(
    level: FeatureLevel, shape: tuple[int, int], peaks: PeakThresholds = CLEAR_PEAKS
) -> list[Mask]:
    """Return the objects on one level of an image (H, W)."""
    dense = _read_dense_head(level.dense.float(), level.scale)
    regions = _watershed_regions(dense, peaks)
    masks = [
        _region_mask(dense, regions, value, cells, shape)
        for value, cells in enumerate(ndimage.find_objects(regions), 1)
        if cells is not None
    ]
    return [mask for mask in masks if mask.area >= SMALLEST_AREA]


def suppress_duplicates(masks: Sequence[Mask], shape: tuple[int, int]) -> list[Mask]:
    """Return masks without those that overlap too much with better ones on an image (H, W)."""
    is_taken = np.zeros(shape, bool)
    kept = []
    for mask in sorted(masks, key=lambda mask: -mask.score):
        in_box = is_taken[mask.box.slices]
        if np.count_nonzero(in_box & mask.crop) <= DUPLICATE_SHARE * mask.area:
            in_box |= mask.crop
            kept.append(mask)
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class _DenseHead:
    """What the dense head predicts on one level; all (h / 2, w / 2)."""

    logits: NDArray[np.float32]  # of the foreground
    foreground: NDArray[np.float32]  # 0..1
    centre: NDArray[np.float32]  # 0 at the border of an object, 1 in its centre
    boundary: NDArray[np.float32]  # 0..1, high between objects
    cell: int  # side of one value in pixels of the image


def _read_dense_head(dense: Tensor, scale: float) -> _DenseHead:
    foreground, centre, boundary = torch.sigmoid(dense).cpu().numpy()
    smooth = ndimage.gaussian_filter(centre, 0.7)
    cell = int(FINE_STRIDE / scale)
    return _DenseHead(dense[0].cpu().numpy(), foreground, smooth, boundary, cell)


def _watershed_regions(dense: _DenseHead, peaks: PeakThresholds) -> NDArray[np.int32]:
    """Flood the foreground from the centres of objects, (h / 2, w / 2) integers."""
    height = dense.centre - 0.35 * dense.boundary
    inside = dense.logits > 0
    inside_height = np.where(inside, height, 0)
    rise = inside_height - reconstruction(inside_height - peaks.rise, inside_height)
    is_peak = (rise > peaks.rise / 2) & (dense.centre > peaks.height)
    markers, _ = ndimage.label(is_peak)
    return np.asarray(watershed(-height, markers, mask=inside), np.int32)


def _region_mask(
    dense: _DenseHead,
    regions: NDArray[np.int32],
    value: int,
    cells: tuple[slice, slice],
    shape: tuple[int, int],
) -> Mask:
    inside = regions[cells] == value
    logits = np.where(inside, dense.logits[cells], np.minimum(dense.logits[cells], -1))
    pixels = _enlarged_mask(logits.astype(np.float32), dense.cell)
    rows, columns = (
        slice(part.start * dense.cell, min(part.stop * dense.cell, size))
        for part, size in zip(cells, shape, strict=True)
    )
    box = Box.at(rows, columns)
    height, width = box.shape
    return Mask(pixels[:height, :width], box, shape, _region_score(dense, cells, inside))


def _region_score(
    dense: _DenseHead, cells: tuple[slice, slice], inside: NDArray[np.bool_]
) -> float:
    """Return how sure an object is by its foreground, its centre and its boundary, 0..1."""
    border = inside & ~ndimage.binary_erosion(inside)
    foreground = dense.foreground[cells][inside].mean()
    peak = dense.centre[cells][inside].max()
    boundary = dense.boundary[cells][border].mean()
    return float(np.clip(foreground * peak * boundary, 0, 1) ** (1 / 3))


def _enlarged_mask(logits: NDArray[np.float32], cell: int) -> NDArray[np.bool_]:
    """Enlarge logits smoothly by a whole factor and return where they are positive."""
    padded = np.pad(logits, 1, constant_values=-1.0)
    wide = F.interpolate(
        torch.from_numpy(padded)[None, None],
        scale_factor=float(cell),
        mode="bilinear",
        align_corners=False,
    )
    return np.asarray(wide[0, 0, cell:-cell, cell:-cell].numpy() > 0)

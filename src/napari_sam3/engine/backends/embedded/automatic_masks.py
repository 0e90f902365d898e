"""Finding all objects of an image with the dense head of the embedded network."""

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
from .mask_decoding import TINY
from .network import FINE_STRIDE, Network
from .pyramid import Level, Pyramid, zoomed_level

COARSEST = 0.5
"""Objects are sought on this scale and finer ones."""
SMALLEST_AREA = 12
"""Fewer pixels of the image are no object."""
SHARED = 0.35
"""A candidate that better ones cover by more than this share is a duplicate."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """What tells the middles of objects from other bumps."""

    rise: float = 0.4  # two peaks with no valley of this depth between them are one object
    height: float = 0.4  # how certain the middle of an object must be


CLEAR = Peaks()


@dataclass(frozen=True, slots=True, eq=False)
class Relief:
    """What the dense head sees on one level; all (h / 2, w / 2)."""

    logits: NDArray[np.float32]  # of the foreground
    foreground: NDArray[np.float32]  # 0..1
    centre: NDArray[np.float32]  # 0 at the border of an object, 1 in its middle
    boundary: NDArray[np.float32]  # 0..1, high between objects
    cell: int  # side of one value in pixels of the image


def find_everything(network: Network, pyramid: Pyramid) -> Candidates:
    """Find the objects of an image on all levels on which they may show."""
    levels = [level for level in pyramid.levels if level.scale >= COARSEST]
    masks = [mask for level in levels for mask in masks_on(level, pyramid.shape)]
    if masks and np.median([mask.area for mask in masks]) < TINY**2:
        masks += masks_on(zoomed_level(network, pyramid), pyramid.shape)
    return Candidates.of(without_duplicates(masks, pyramid.shape), pyramid.shape)


def masks_on(level: Level, shape: tuple[int, int], peaks: Peaks = CLEAR) -> list[Mask]:
    """Find objects on one level of an image (H, W)."""
    relief = _relief(level.dense.float(), level.scale)
    regions = _regions(relief, peaks)
    masks = [
        _region_mask(relief, regions, value, cells, shape)
        for value, cells in enumerate(ndimage.find_objects(regions), 1)
        if cells is not None
    ]
    return [mask for mask in masks if mask.area >= SMALLEST_AREA]


def without_duplicates(masks: Sequence[Mask], shape: tuple[int, int]) -> list[Mask]:
    """Leave out masks that overlap too much with better masks, (H, W) pixels in all."""
    taken = np.zeros(shape, bool)
    kept = []
    for mask in sorted(masks, key=lambda mask: -mask.score):
        here = taken[mask.box.slices]
        if np.count_nonzero(here & mask.crop) <= SHARED * mask.area:
            here |= mask.crop
            kept.append(mask)
    return kept


def _relief(dense: Tensor, scale: float) -> Relief:
    foreground, centre, boundary = torch.sigmoid(dense).cpu().numpy()
    smooth = ndimage.gaussian_filter(centre, 0.7)
    return Relief(dense[0].cpu().numpy(), foreground, smooth, boundary, int(FINE_STRIDE / scale))


def _regions(relief: Relief, peaks: Peaks) -> NDArray[np.int32]:
    """Flood the foreground from the middles of objects, (h / 2, w / 2) integers."""
    height = relief.centre - 0.35 * relief.boundary
    inside = relief.logits > 0
    bumps = np.where(inside, height, 0)
    rise = bumps - reconstruction(bumps - peaks.rise, bumps)
    seeds, _ = ndimage.label((rise > peaks.rise / 2) & (relief.centre > peaks.height))
    return np.asarray(watershed(-height, seeds, mask=inside), np.int32)


def _region_mask(
    relief: Relief,
    regions: NDArray[np.int32],
    value: int,
    cells: tuple[slice, slice],
    shape: tuple[int, int],
) -> Mask:
    inside = regions[cells] == value
    logits = np.where(inside, relief.logits[cells], np.minimum(relief.logits[cells], -1))
    mask = _enlarged(logits.astype(np.float32), relief.cell)
    rows, columns = (
        slice(part.start * relief.cell, min(part.stop * relief.cell, size))
        for part, size in zip(cells, shape, strict=True)
    )
    box = Box.at(rows, columns)
    height, width = box.shape
    return Mask(mask[:height, :width], box, shape, _score(relief, cells, inside))


def _score(relief: Relief, cells: tuple[slice, slice], inside: NDArray[np.bool_]) -> float:
    """How sure an object is: its foreground, its middle and its border, 0..1."""
    border = inside & ~ndimage.binary_erosion(inside)
    sure = relief.foreground[cells][inside].mean()
    peak = relief.centre[cells][inside].max()
    closed = relief.boundary[cells][border].mean()
    return float(np.clip(sure * peak * closed, 0, 1) ** (1 / 3))


def _enlarged(logits: NDArray[np.float32], cell: int) -> NDArray[np.bool_]:
    """Enlarge logits smoothly by a whole factor and return where they are positive."""
    padded = np.pad(logits, 1, constant_values=-1.0)
    wide = F.interpolate(
        torch.from_numpy(padded)[None, None],
        scale_factor=float(cell),
        mode="bilinear",
        align_corners=False,
    )
    return np.asarray(wide[0, 0, cell:-cell, cell:-cell].numpy() > 0)

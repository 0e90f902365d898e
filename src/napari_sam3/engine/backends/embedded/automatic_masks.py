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

from ....values import Candidates, Part, PixelBox
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
class Piece:
    """One object found on one level."""

    place: tuple[slice, slice]  # rows and columns of the image
    mask: NDArray[np.bool_]  # of the size of its place
    score: float  # 0..1

    @property
    def box(self) -> PixelBox:
        """First row, first column, last row + 1, last column + 1."""
        rows, cols = self.place
        return rows.start, cols.start, rows.stop, cols.stop

    @property
    def part(self) -> Part:
        """Place and mask together."""
        return self.place, self.mask

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    def trimmed(self) -> Piece:
        """Return the same mask on the smallest place that holds it."""
        used = [np.flatnonzero(self.mask.any(axis)) for axis in (1, 0)]
        parts = [slice(int(one[0]), int(one[-1]) + 1) if len(one) else slice(0, 0) for one in used]
        rows, cols = (
            slice(first.start + part.start, first.start + part.stop)
            for first, part in zip(self.place, parts, strict=True)
        )
        return Piece((rows, cols), self.mask[parts[0], parts[1]].copy(), self.score)


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
    pieces = [piece for level in levels for piece in pieces_of(level, pyramid.shape)]
    if pieces and np.median([piece.area for piece in pieces]) < TINY**2:
        pieces += pieces_of(zoomed_level(network, pyramid), pyramid.shape)
    return candidates_of(without_duplicates(pieces, pyramid.shape), pyramid.shape)


def candidates_of(pieces: Sequence[Piece], shape: tuple[int, int]) -> Candidates:
    """Return pieces of an image (H, W) as candidates, in their order."""
    return Candidates(
        shape,
        np.array([piece.box for piece in pieces], np.int64).reshape(-1, 4),
        tuple(piece.mask for piece in pieces),
        np.array([piece.score for piece in pieces], np.float64),
    )


def pieces_of(level: Level, shape: tuple[int, int], peaks: Peaks = CLEAR) -> list[Piece]:
    """Find objects on one level of an image (H, W)."""
    relief = _relief(level.dense.float(), level.scale)
    regions = _regions(relief, peaks)
    pieces = [
        _piece(relief, regions, value, place, shape)
        for value, place in enumerate(ndimage.find_objects(regions), 1)
        if place is not None
    ]
    return [piece for piece in pieces if piece.area >= SMALLEST_AREA]


def without_duplicates(pieces: Sequence[Piece], shape: tuple[int, int]) -> list[Piece]:
    """Leave out pieces that better ones cover already."""
    taken = np.zeros(shape, bool)
    kept = []
    for piece in sorted(pieces, key=lambda piece: -piece.score):
        there = taken[piece.place]
        if np.count_nonzero(there & piece.mask) <= SHARED * np.count_nonzero(piece.mask):
            there |= piece.mask
            kept.append(piece)
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


def _piece(
    relief: Relief,
    regions: NDArray[np.int32],
    value: int,
    place: tuple[slice, slice],
    shape: tuple[int, int],
) -> Piece:
    inside = regions[place] == value
    logits = np.where(inside, relief.logits[place], np.minimum(relief.logits[place], -1))
    mask = _enlarged(logits.astype(np.float32), relief.cell)
    spots = [
        slice(part.start * relief.cell, min(part.stop * relief.cell, size))
        for part, size in zip(place, shape, strict=True)
    ]
    rows, cols = (part.stop - part.start for part in spots)
    return Piece((spots[0], spots[1]), mask[:rows, :cols], _score(relief, place, inside))


def _score(relief: Relief, place: tuple[slice, slice], inside: NDArray[np.bool_]) -> float:
    """How sure an object is: its foreground, its middle and its border, 0..1."""
    border = inside & ~ndimage.binary_erosion(inside)
    sure = relief.foreground[place][inside].mean()
    peak = relief.centre[place][inside].max()
    closed = relief.boundary[place][border].mean()
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

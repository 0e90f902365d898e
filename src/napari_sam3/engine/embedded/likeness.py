"""What an object looks like to the embedded network, and how alike two objects are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..finding.exemplars import Appearance
from .everything import Piece
from .features import FINE_STRIDE
from .pyramid import Pyramid

# Weights in units of log odds, rounded from a logistic regression on the development images of
# `docs/embedded-model.md`; how alike two objects are counts a little more than it did there.
FEATURES = 2.0
"""Of the cosine between features."""
BRIGHTNESS = 0.9
"""Of a difference in colour of one standard deviation of the image."""
AREA = 1.1
"""Of the square of the difference between the logarithms of the areas."""
SHAPE = 0.5
"""Of the difference between the logarithms of the elongations."""
FAR = (3.0, 1.6, 1.5)
"""Differences in colour, area and shape do not count as more than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One object as it is compared with others, on this image or another."""

    features: NDArray[np.float32]  # (32,) mean inside, in standard deviations of its image
    colour: NDArray[np.float32]  # (3,) mean inside, in standard deviations of its image
    area: float  # logarithm of the number of pixels
    elongation: float  # logarithm of length over width
    length: float  # longer side of the box around it, in pixels of the image

    def likeness(self, other: Look) -> float:
        """How alike two objects are, as log odds: at most 2, far below 0 for different ones."""
        norms = float(np.linalg.norm(self.features) * np.linalg.norm(other.features))
        cosine = float(self.features @ other.features) / (norms + 1e-6)
        colour = min(float(np.abs(self.colour - other.colour).mean()), FAR[0])
        area = min(abs(self.area - other.area), FAR[1])
        shape = min(abs(self.elongation - other.elongation), FAR[2])
        return FEATURES * cosine - BRIGHTNESS * colour - AREA * area**2 - SHAPE * shape

    def kept(self) -> Appearance:
        """Return it as named arrays."""
        size = np.array([self.area, self.elongation, self.length], np.float32)
        return {"features": self.features, "colour": self.colour, "size": size}

    @classmethod
    def of(cls, appearance: Appearance) -> Self:
        """Return what `kept` made named arrays of."""
        area, elongation, length = appearance["size"].tolist()
        return cls(appearance["features"], appearance["colour"], area, elongation, length)


class Eye:
    """Looks at the objects of one image on one level."""

    def __init__(self, pyramid: Pyramid, scale: float) -> None:
        level = next(level for level in pyramid.levels if level.scale == scale)
        self._cell = FINE_STRIDE / scale
        self._features = standardised(level.fine.float().cpu().numpy())
        self._colours = standardised(pyramid.image.float().cpu().numpy())

    def look(self, piece: Piece) -> Look:
        """Return what a piece of the image, which is not empty, looks like."""
        weights, place = self._weights(piece)
        inside = self._features[:, place[0], place[1]]
        features = (inside * weights).sum((1, 2)) / (weights.sum() + 1e-6)
        colour = self._colours[:, piece.place[0], piece.place[1]][:, piece.mask].mean(1)
        area = float(np.log(piece.area))
        return Look(features, colour, area, elongation(piece.mask), float(max(piece.mask.shape)))

    def _weights(self, piece: Piece) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
        """Return the share of each cell that a mask covers, and where these cells are."""
        if self._cell < 1:
            repeat = round(1 / self._cell)
            fine = piece.mask.repeat(repeat, 0).repeat(repeat, 1).astype(np.float32)
            rows, cols = (slice(p.start * repeat, p.stop * repeat) for p in piece.place)
            return fine, (rows, cols)
        cell = round(self._cell)
        rows, cols = (slice(p.start // cell, -(-p.stop // cell)) for p in piece.place)
        top, left = (
            piece.place[0].start - rows.start * cell,
            piece.place[1].start - cols.start * cell,
        )
        height, width = piece.mask.shape
        whole = np.zeros(((rows.stop - rows.start) * cell, (cols.stop - cols.start) * cell))
        whole[top : top + height, left : left + width] = piece.mask
        parts = whole.reshape(rows.stop - rows.start, cell, -1, cell)
        return parts.mean((1, 3), dtype=np.float32), (rows, cols)


def standardised(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give maps, (C, h, w), a mean of 0 and a standard deviation of 1 each."""
    middle = maps.mean((1, 2), keepdims=True)
    return np.asarray((maps - middle) / (maps.std((1, 2), keepdims=True) + 1e-3), np.float32)


def elongation(mask: NDArray[np.bool_]) -> float:
    """Return the logarithm of the length of a mask, (h, w), over its width."""
    places = np.argwhere(mask).astype(np.float64)
    spread = np.eye(2) / 12  # of a single pixel
    if len(places) > 1:
        spread = spread + np.cov(places.T)
    small, large = np.linalg.eigvalsh(spread)
    return float(np.log(large / small) / 2)

"""Finding all objects that are like one in a box, with the embedded network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

from ....values import (
    Appearance,
    Candidates,
    Concept,
    Corners,
    Exemplar,
    Mask,
    Prompts,
    boxes_of,
    exemplars_of,
)
from ...selection import neighbours
from .automatic_masks import Peaks, masks_on
from .decoder_queries import DecoderOutput
from .mask_decoding import TYPICAL, draw_mask, query_on
from .network import FINE_STRIDE, Network
from .prediction import decode_each, predict_prompted
from .pyramid import Crop, Pyramid

FAINT = Peaks(rise=0.15, height=0.2)
"""Middles of objects that the dense head is not sure of, and of the parts of objects."""
NEARBY = 2.5
"""Levels on which the size is up to so many times the typical one are searched, or less."""
OFF = 5.0
"""Masks of so many times the area, and larger ones, are not proposed; nor so many times less."""
SMALLEST_SEED = 0.1
"""What is smaller than this share of the area is not clicked."""
APART = 0.6
"""Clicks are farther apart than this share of the radius."""
AGREEING = 0.3
"""A smaller intersection over union of two masks says nothing."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large the objects are that are sought."""

    length: float  # longer side of the box around one, in pixels of the image
    area: float  # in pixels of the image

    def holds(self, area: float) -> bool:
        """Whether something of this area may be one of them."""
        return self.area / OFF <= area <= self.area * OFF


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """One mask, and how much speaks for it."""

    piece: Mask  # its score is the network's own, 0..1
    is_clicked: bool  # whether a click drew it, or the dense head
    agreement: float = 0.0  # intersection over union with the likest mask drawn the other way


def scale_for(pyramid: Pyramid, size: Size) -> float:
    """Return the scale on which objects of this size are seen best."""
    return pyramid.fitting_scale(size.length, TYPICAL)


def propose(network: Network, pyramid: Pyramid, size: Size) -> list[Proposal]:
    """Propose masks in two ways, each of which tells how far the other can be trusted.

    The dense head outlines what has a middle, on all levels near the best one. Then a click on
    each of these, also the faint ones, is decoded on the best level. ``pyramid`` has a level of
    every scale that is near.
    """
    scale = scale_for(pyramid, size)
    levels = [level for level in pyramid.levels if 1 / NEARBY < level.scale / scale < NEARBY]
    clear = [piece for level in levels for piece in masks_on(level, pyramid.shape)]
    faint = [piece for level in levels for piece in masks_on(level, pyramid.shape, FAINT)]
    clicked = _clicked(network, pyramid, _seeds(faint, size), scale, size)
    outlined = [one for one in (*clear, *faint) if size.holds(one.area)]
    return compared(outlined, clicked)


def compared(outlined: Sequence[Mask], clicked: Sequence[Mask]) -> list[Proposal]:
    """Note for every mask how well one that was drawn the other way agrees with it."""
    pieces = [*outlined, *clicked]
    agreement = np.zeros(len(pieces))
    for one, other, similarity in overlaps(pieces, AGREEING):
        if (one < len(outlined)) != (other < len(outlined)):
            agreement[[one, other]] = np.maximum(agreement[[one, other]], similarity)
    return [
        Proposal(piece, n >= len(outlined), float(agreement[n])) for n, piece in enumerate(pieces)
    ]


def overlaps(pieces: Sequence[Mask], least: float) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of masks and their intersection over union, of at least so much."""
    boxes = np.array([piece.box for piece in pieces], np.int64).reshape(-1, 4)
    areas = np.array([piece.area for piece in pieces])
    for one, beside in enumerate(neighbours(boxes)):
        later = beside[beside > one]
        first = np.maximum(boxes[one, :2], boxes[later, :2])
        last = np.minimum(boxes[one, 2:], boxes[later, 2:])
        most = np.minimum((last - first).prod(1), np.minimum(areas[one], areas[later]))
        for other in later[most >= least * (areas[one] + areas[later] - most)].tolist():
            shared = pieces[one].shared_area(pieces[other])
            similarity = shared / (areas[one] + areas[other] - shared)
            if similarity >= least:
                yield one, other, similarity


def innermost(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the pixel of a mask, (h, w), that is farthest from its border."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    return int(row), int(col)


def _seeds(pieces: Sequence[Mask], size: Size) -> NDArray[np.float64]:
    """Return where to click, (N, 2): the middles of pieces, the surest of those that are near."""
    apart = APART * np.sqrt(size.area / np.pi)
    seeds = np.zeros((0, 2))
    for piece in sorted(pieces, key=lambda piece: -piece.score):
        if piece.area < SMALLEST_SEED * size.area:
            continue
        seed = np.add(innermost(piece.crop), piece.box[:2])
        if not len(seeds) or ((seeds - seed) ** 2).sum(1).min() > apart**2:
            seeds = np.vstack([seeds, seed])
    return seeds


def _clicked(
    network: Network, pyramid: Pyramid, seeds: NDArray[np.float64], scale: float, size: Size
) -> list[Mask]:
    prompts = [Prompts(points=[seed]) for seed in seeds]
    questions = [
        [query_on(one, Crop.around(float(row), float(col), scale))]
        for one, (row, col) in zip(prompts, seeds, strict=True)
    ]
    pieces = [
        _drawn(guess, one, pyramid.shape)
        for one, guesses in zip(prompts, decode_each(network, pyramid, questions), strict=True)
        for guess in guesses
        if size.holds(guess.size**2)
    ]
    return [piece for piece in pieces if size.holds(piece.area)]


def _drawn(guess: DecoderOutput, prompts: Prompts, shape: tuple[int, int]) -> Mask:
    return draw_mask(guess, prompts, shape).trimmed()


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

    def similarity(self, other: Look) -> float:
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

    def look(self, piece: Mask) -> Look:
        """Return what a piece of the image, which is not empty, looks like."""
        weights, place = self._weights(piece)
        inside = self._features[:, place[0], place[1]]
        features = (inside * weights).sum((1, 2)) / (weights.sum() + 1e-6)
        colour = self._colours[:, *piece.box.slices][:, piece.crop].mean(1)
        area = float(np.log(piece.area))
        return Look(features, colour, area, elongation(piece.crop), float(max(piece.crop.shape)))

    def _weights(self, piece: Mask) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
        """Return the share of each cell that a mask covers, and where these cells are."""
        if self._cell < 1:
            repeat = round(1 / self._cell)
            fine = piece.crop.repeat(repeat, 0).repeat(repeat, 1).astype(np.float32)
            rows, cols = (slice(p.start * repeat, p.stop * repeat) for p in piece.box.slices)
            return fine, (rows, cols)
        cell = round(self._cell)
        rows, cols = (slice(p.start // cell, -(-p.stop // cell)) for p in piece.box.slices)
        top, left = (
            piece.box.top - rows.start * cell,
            piece.box.left - cols.start * cell,
        )
        height, width = piece.crop.shape
        whole = np.zeros(((rows.stop - rows.start) * cell, (cols.stop - cols.start) * cell))
        whole[top : top + height, left : left + width] = piece.crop
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


# Weights in units of log odds; see `embedded_likeness` for those of the likeness.
TRUST = 0.6
"""Of the log odds that the network itself gives to a mask."""
AGREEMENT = 6.0
"""Of the network's trust where a mask drawn the other way is the same."""
PRIOR = -3.5
"""Where there is nothing of all that."""
WELL = 4.0
"""An object that was shown is itself recognised with at least such log odds, as a rule."""
GENTLE = 1.0
"""Where it is not, so much at most is given to all of them."""
UNLIKE = 3.0
"""Of being more like what is meant than like what is not; a candidate needs both."""
SURE = (0.02, 0.98)
"""No mask is trusted less or more."""
ZOOMED = 30.0
"""Objects up to this length are also sought on the finest scale, in pixels of the image."""
SAME = 0.7
"""Masks with such an intersection over union, or a larger one, are the same object."""
LOWEST = 0.02
"""Candidates of a lower score are not kept."""
SHOWN = (0.99, 0.02)
"""Scores of the objects in the boxes themselves: of those that are meant, and of the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """What is meant and what is not."""

    looks: tuple[Look, ...]  # of the objects that are meant, at least one
    others: tuple[Look, ...]  # of those that are not

    def odds(self, look: Look, proposal: Proposal) -> float:
        """Log odds of a proposal of this look being an object of the meant kind."""
        trust = proposal.piece.score
        similarity = max(look.similarity(one) for one in self.looks)
        drawn = TRUST * float(logit(np.clip(trust, *SURE))) + AGREEMENT * trust * proposal.agreement
        return PRIOR + similarity + drawn

    def limit(self, look: Look) -> float:
        """Log odds of something of this look being meant rather than one of the others."""
        if not self.others:
            return inf
        similarity = max(look.similarity(one) for one in self.looks)
        return UNLIKE * (similarity - max(look.similarity(one) for one in self.others))


def appearance_in(network: Network, pyramid: Pyramid, box: Corners) -> Appearance:
    """Return what the object in a box of an image looks like."""
    piece = piece_in(network, pyramid, box)
    sought = Size(float(max(piece.crop.shape)), piece.area)
    return _eye(network, pyramid, sought)[1].look(piece).kept()


def find_similar(network: Network, pyramid: Pyramid, concept: Concept) -> Candidates:
    """Find the objects of an image that are like the exemplars of a concept."""
    shown = [_pieces(network, pyramid, kind) for kind in (concept.exemplars, concept.negatives)]
    size = _size(shown[0], _looks(concept.exemplars))
    zoomed, eye = _eye(network, pyramid, size)
    meant, others = (
        (*map(eye.look, pieces), *_looks(kind))
        for pieces, kind in zip(shown, (concept.exemplars, concept.negatives), strict=True)
    )
    meaning = Meaning(tuple(meant), tuple(others))
    proposals = propose(network, zoomed, size)
    looks = [eye.look(one.piece) for one in proposals]
    odds = np.array([meaning.odds(*both) for both in zip(looks, proposals, strict=True)])
    odds = odds + leniency(shown[0], proposals, odds)
    scores = expit(np.minimum(odds, [meaning.limit(look) for look in looks]))
    scored = [
        replace(one.piece, score=float(score)) for one, score in zip(proposals, scores, strict=True)
    ]
    drawn = [replace(one, score=SHOWN[n]) for n, pieces in enumerate(shown) for one in pieces]
    return Candidates.of(distinct(drawn, scored), pyramid.shape)


def leniency(
    shown: Sequence[Mask], proposals: Sequence[Proposal], odds: NDArray[np.float64]
) -> float:
    """Return how much more gently all are judged, where even what was shown is hardly recognised.

    Parameters
    ----------
    shown : sequence of Mask
        The objects in boxes on the image.
    proposals : N proposals
    odds : (N,) float64
        How sure it is that they are meant, as log odds.
    """
    if not shown:
        return GENTLE / 2
    known = []
    for piece in shown:
        areas = [piece.shared_area(one.piece) for one in proposals]
        own = [
            float(value)
            for value, one, shared in zip(odds, proposals, areas, strict=True)
            if 2 * shared >= piece.area + one.piece.area - shared
        ]
        known.append(max(own, default=-inf))
    return float(np.clip(WELL - np.median(known), 0, GENTLE))


def distinct(shown: Sequence[Mask], found: Sequence[Mask]) -> list[Mask]:
    """Leave out what is hardly meant, and what is the same object as a shown or better one."""
    better_first = sorted(found, key=lambda piece: -piece.score)
    pieces = [*shown, *(piece for piece in better_first if piece.score >= LOWEST)]
    repeated: set[int] = set()
    for one, other, _ in overlaps(pieces, SAME):
        if one not in repeated:
            repeated.add(other)
    kept = [piece for n, piece in enumerate(pieces) if n not in repeated]
    return sorted(kept, key=lambda piece: -piece.score)


def piece_in(network: Network, pyramid: Pyramid, box: Corners) -> Mask:
    """Outline the object in a box; the box is filled where the network sees none in it."""
    answer = predict_prompted(network, pyramid, [Prompts(boxes=[box])], [None])[0]
    pixels = np.array(answer.pixels)
    if not pixels.any():
        corners = np.sort(np.reshape(box, (2, 2)), axis=0)
        last = np.array(pixels.shape) - 1
        (top, left), (bottom, right) = np.ceil(corners).clip(0, last).astype(int)
        pixels[top : bottom + 1, left : right + 1] = True
    return Mask.of(pixels).trimmed()


def _eye(network: Network, pyramid: Pyramid, size: Size) -> tuple[Pyramid, Eye]:
    """Return a pyramid with all levels on which such objects show, and a look at the best one."""
    levels = pyramid.with_zoom(network) if size.length <= ZOOMED else pyramid
    return levels, Eye(levels, scale_for(levels, size))


def _pieces(network: Network, pyramid: Pyramid, shown: Sequence[Corners | Exemplar]) -> list[Mask]:
    return [piece_in(network, pyramid, box) for box in boxes_of(shown)]


def _looks(shown: Sequence[Corners | Exemplar]) -> list[Look]:
    return [Look.of(one.appearance) for one in exemplars_of(shown)]


def _size(pieces: Sequence[Mask], looks: Sequence[Look]) -> Size:
    """Return the usual size of what is meant."""
    lengths = [*(max(piece.crop.shape) for piece in pieces), *(look.length for look in looks)]
    areas = [*(one.area for one in pieces), *(np.exp(one.area) for one in looks)]
    return Size(float(np.median(lengths)), float(np.median(areas)))

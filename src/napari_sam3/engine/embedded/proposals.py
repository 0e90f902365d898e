"""Masks that may be objects of a known size, before anybody says which of them are meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..finding.sieve import neighbours
from ..parts import shared_area
from ..prompts import Prompts
from .answers import ask_each
from .crops import Crop
from .drawing import draw_part
from .everything import Peaks, Piece, pieces_of
from .network import Network
from .prompting import TYPICAL, question_on
from .pyramid import Pyramid
from .questions import Guess

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

    piece: Piece  # its score is the network's own, 0..1
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
    clear = [piece for level in levels for piece in pieces_of(level, pyramid.shape)]
    faint = [piece for level in levels for piece in pieces_of(level, pyramid.shape, FAINT)]
    clicked = _clicked(network, pyramid, _seeds(faint, size), scale, size)
    outlined = [one for one in (*clear, *faint) if size.holds(one.area)]
    return compared(outlined, clicked)


def compared(outlined: Sequence[Piece], clicked: Sequence[Piece]) -> list[Proposal]:
    """Note for every mask how well one that was drawn the other way agrees with it."""
    pieces = [*outlined, *clicked]
    agreement = np.zeros(len(pieces))
    for one, other, likeness in overlaps(pieces, AGREEING):
        if (one < len(outlined)) != (other < len(outlined)):
            agreement[[one, other]] = np.maximum(agreement[[one, other]], likeness)
    return [
        Proposal(piece, n >= len(outlined), float(agreement[n])) for n, piece in enumerate(pieces)
    ]


def overlaps(pieces: Sequence[Piece], least: float) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of masks and their intersection over union, of at least so much."""
    boxes = np.array([piece.box for piece in pieces], np.int64).reshape(-1, 4)
    areas = np.array([piece.area for piece in pieces])
    for one, beside in enumerate(neighbours(boxes)):
        later = beside[beside > one]
        first = np.maximum(boxes[one, :2], boxes[later, :2])
        last = np.minimum(boxes[one, 2:], boxes[later, 2:])
        most = np.minimum((last - first).prod(1), np.minimum(areas[one], areas[later]))
        for other in later[most >= least * (areas[one] + areas[later] - most)].tolist():
            shared = shared_area(pieces[one].part, pieces[other].part)
            likeness = shared / (areas[one] + areas[other] - shared)
            if likeness >= least:
                yield one, other, likeness


def innermost(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the pixel of a mask, (h, w), that is farthest from its border."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    return int(row), int(col)


def _seeds(pieces: Sequence[Piece], size: Size) -> NDArray[np.float64]:
    """Return where to click, (N, 2): the middles of pieces, the surest of those that are near."""
    apart = APART * np.sqrt(size.area / np.pi)
    seeds = np.zeros((0, 2))
    for piece in sorted(pieces, key=lambda piece: -piece.score):
        if piece.area < SMALLEST_SEED * size.area:
            continue
        seed = np.add(innermost(piece.mask), piece.box[:2])
        if not len(seeds) or ((seeds - seed) ** 2).sum(1).min() > apart**2:
            seeds = np.vstack([seeds, seed])
    return seeds


def _clicked(
    network: Network, pyramid: Pyramid, seeds: NDArray[np.float64], scale: float, size: Size
) -> list[Piece]:
    prompts = [Prompts(points=[seed]) for seed in seeds]
    questions = [
        [question_on(one, Crop.around(float(row), float(col), scale))]
        for one, (row, col) in zip(prompts, seeds, strict=True)
    ]
    pieces = [
        _drawn(guess, one, pyramid.shape)
        for one, guesses in zip(prompts, ask_each(network, pyramid, questions), strict=True)
        for guess in guesses
        if size.holds(guess.size**2)
    ]
    return [piece for piece in pieces if size.holds(piece.area)]


def _drawn(guess: Guess, prompts: Prompts, shape: tuple[int, int]) -> Piece:
    place, mask = draw_part(guess, prompts, shape)
    return Piece(place, mask, guess.score).trimmed()

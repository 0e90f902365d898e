"""Finding all objects that are like one in a box, with the embedded network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from ..finding.concepts import Candidates, Concept, boxes_of, exemplars_of
from ..finding.exemplars import Appearance, Box, Exemplar
from ..parts import shared_area
from ..prompts import Prompts
from .answers import answer_prompts
from .everything import Piece, candidates_of
from .likeness import Eye, Look
from .network import Network
from .proposals import Proposal, Size, overlaps, propose, scale_for
from .pyramid import Pyramid

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
        likeness = max(look.likeness(one) for one in self.looks)
        drawn = TRUST * float(logit(np.clip(trust, *SURE))) + AGREEMENT * trust * proposal.agreement
        return PRIOR + likeness + drawn

    def limit(self, look: Look) -> float:
        """Log odds of something of this look being meant rather than one of the others."""
        if not self.others:
            return inf
        likeness = max(look.likeness(one) for one in self.looks)
        return UNLIKE * (likeness - max(look.likeness(one) for one in self.others))


def appearance_in(network: Network, pyramid: Pyramid, box: Box) -> Appearance:
    """Return what the object in a box of an image looks like."""
    piece = piece_in(network, pyramid, box)
    sought = Size(float(max(piece.mask.shape)), piece.area)
    return _eye(network, pyramid, sought)[1].look(piece).kept()


def find_alike(network: Network, pyramid: Pyramid, concept: Concept) -> Candidates:
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
    return candidates_of(distinct(drawn, scored), pyramid.shape)


def leniency(
    shown: Sequence[Piece], proposals: Sequence[Proposal], odds: NDArray[np.float64]
) -> float:
    """Return how much more gently all are judged, where even what was shown is hardly recognised.

    Parameters
    ----------
    shown : sequence of Piece
        The objects in boxes on the image.
    proposals : N proposals
    odds : (N,) float64
        How sure it is that they are meant, as log odds.
    """
    if not shown:
        return GENTLE / 2
    known = []
    for piece in shown:
        areas = [shared_area(piece.part, one.piece.part) for one in proposals]
        own = [
            float(value)
            for value, one, shared in zip(odds, proposals, areas, strict=True)
            if 2 * shared >= piece.area + one.piece.area - shared
        ]
        known.append(max(own, default=-inf))
    return float(np.clip(WELL - np.median(known), 0, GENTLE))


def distinct(shown: Sequence[Piece], found: Sequence[Piece]) -> list[Piece]:
    """Leave out what is hardly meant, and what is the same object as a shown or better one."""
    better_first = sorted(found, key=lambda piece: -piece.score)
    pieces = [*shown, *(piece for piece in better_first if piece.score >= LOWEST)]
    repeated: set[int] = set()
    for one, other, _ in overlaps(pieces, SAME):
        if one not in repeated:
            repeated.add(other)
    kept = [piece for n, piece in enumerate(pieces) if n not in repeated]
    return sorted(kept, key=lambda piece: -piece.score)


def piece_in(network: Network, pyramid: Pyramid, box: Box) -> Piece:
    """Outline the object in a box; the box is filled where the network sees none in it."""
    answer = answer_prompts(network, pyramid, [Prompts(boxes=[box])], [None])[0]
    pixels = np.array(answer.pixels)
    if not pixels.any():
        corners = np.sort(np.reshape(box, (2, 2)), axis=0)
        last = np.array(pixels.shape) - 1
        (top, left), (bottom, right) = np.ceil(corners).clip(0, last).astype(int)
        pixels[top : bottom + 1, left : right + 1] = True
    rows, cols = pixels.shape
    return Piece((slice(0, rows), slice(0, cols)), pixels, 1.0).trimmed()


def _eye(network: Network, pyramid: Pyramid, size: Size) -> tuple[Pyramid, Eye]:
    """Return a pyramid with all levels on which such objects show, and a look at the best one."""
    levels = pyramid.with_zoom(network) if size.length <= ZOOMED else pyramid
    return levels, Eye(levels, scale_for(levels, size))


def _pieces(network: Network, pyramid: Pyramid, shown: Sequence[Box | Exemplar]) -> list[Piece]:
    return [piece_in(network, pyramid, box) for box in boxes_of(shown)]


def _looks(shown: Sequence[Box | Exemplar]) -> list[Look]:
    return [Look.of(one.appearance) for one in exemplars_of(shown)]


def _size(pieces: Sequence[Piece], looks: Sequence[Look]) -> Size:
    """Return the usual size of what is meant."""
    lengths = [*(max(piece.mask.shape) for piece in pieces), *(look.length for look in looks)]
    areas = [*(one.area for one in pieces), *(np.exp(one.area) for one in looks)]
    return Size(float(np.median(lengths)), float(np.median(areas)))

"""Candidates that become objects, to be clicked better and followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..layers.axes import Place
from ..layers.regions import bounding
from .found_concept import FoundConcept
from .workspace import Found, Workspace


def adopt(
    workspace: Workspace, concept: FoundConcept, place: Place, positions: Sequence[int]
) -> None:
    """Make an object of every candidate; the last one is the current object.

    What was painted on a candidate is part of its object, and an erased one becomes none.

    Raises
    ------
    StorageError
        If they cannot be stored; all are candidates then.
    """
    painted = {} if concept.sheet is None else concept.sheet.painted(place)
    found = {position: _found(concept, place, position, painted) for position in positions}
    kept = {position: one for position, one in found.items() if one is not None}
    things = workspace.adopt(place, list(kept.values()))
    if concept.sheet is not None:
        concept.sheet.wipe(place, [at + 1 for at in kept if at + 1 in painted])
    concept.take(place, {at: one.id for at, one in zip(kept, things, strict=True)})
    if things:
        workspace.objects.current = things[-1]


def _found(
    concept: FoundConcept, place: Place, position: int, painted: Mapping[int, NDArray[np.bool_]]
) -> Found | None:
    """Return a candidate as it is seen; None if it was erased. Its label is its position + 1."""
    score = concept.score(place, position)
    if position + 1 not in painted:
        return Found(*concept.mask(place, position), score)
    mask = painted[position + 1]
    box = bounding(mask)
    return None if box is None else Found(box, mask[box[0] : box[2], box[1] : box[3]], score)

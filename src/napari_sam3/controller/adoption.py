"""Candidates that become objects, to be clicked better and followed."""

from __future__ import annotations

from collections.abc import Sequence

from ..layers.axes import Place
from .found_concept import FoundConcept
from .workspace import Found, Workspace


def adopt(
    workspace: Workspace, concept: FoundConcept, place: Place, positions: Sequence[int]
) -> None:
    """Make an object of every candidate; the last one is the current object.

    Raises
    ------
    StorageError
        If they cannot be stored; all are candidates then.
    """
    found = [
        Found(*concept.mask(place, position), concept.score(place, position))
        for position in positions
    ]
    things = workspace.adopt(place, found)
    concept.take(place, {at: one.id for at, one in zip(positions, things, strict=True)})
    if things:
        workspace.objects.current = things[-1]

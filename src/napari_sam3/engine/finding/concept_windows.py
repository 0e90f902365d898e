"""Concepts as they are seen on a window of a frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..images.windows import Window
from .concepts import Concept
from .exemplars import Box, Exemplar


def extent(box: Box) -> Box:
    """Return a box as its first row and column, then its last ones."""
    first, last = np.sort(np.reshape(box, (2, 2)), axis=0).tolist()
    return first[0], first[1], last[0], last[1]


def moved(box: Box, window: Window) -> Box | None:
    """Return a box of the frame in pixels of a window, or None if it is not on it as a whole."""
    corners = window.points(np.reshape(extent(box), (2, 2)))
    if (corners < -0.5).any() or (corners > np.array(window.shape) - 0.5).any():
        return None
    row0, col0, row1, col1 = corners.ravel().tolist()
    return row0, col0, row1, col1


def on_window(concept: Concept, carried: Concept, window: Window) -> Concept:
    """Return a concept of a frame for a window of it.

    Parameters
    ----------
    concept : Concept
        Its boxes lie on the frame.
    carried : Concept
        The same one with an exemplar for every box, which stands for it on windows without it.
    window : Window
        The part of the frame that is searched.
    """
    return Concept(
        concept.text,
        _shown(concept.exemplars, carried.exemplars, window),
        _shown(concept.negatives, carried.negatives, window),
    )


def _shown(
    drawn: Sequence[Box | Exemplar], carried: Sequence[Box | Exemplar], window: Window
) -> list[Box | Exemplar]:
    shown: list[Box | Exemplar] = []
    for one, other in zip(drawn, carried, strict=True):
        box = None if isinstance(one, Exemplar) else moved(one, window)
        shown.append(other if box is None else box)
    return shown

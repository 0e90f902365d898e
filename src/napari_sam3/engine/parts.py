"""Masks cut out where they lie on an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Span = tuple[slice, slice]
"""Rows and columns of an image."""
Part = tuple[Span, NDArray[np.bool_]]
"""Where a mask lies on an image, and the mask there; no pixel outside belongs to it."""


def shared_area(one: Part, other: Part) -> int:
    """Count the pixels that two masks of one image share."""
    inner: list[Span] = []
    for first, second in zip(one[0], other[0], strict=True):
        start, stop = max(first.start, second.start), min(first.stop, second.stop)
        if start >= stop:
            return 0
        own = slice(start - first.start, stop - first.start)
        inner.append((own, slice(start - second.start, stop - second.start)))
    (own_rows, its_rows), (own_cols, its_cols) = inner
    return int(np.count_nonzero(one[1][own_rows, own_cols] & other[1][its_rows, its_cols]))


def overlap(one: Part, other: Part) -> float:
    """Intersection over union of two masks of one image; 0 of two empty ones."""
    shared = shared_area(one, other)
    either = int(np.count_nonzero(one[1]) + np.count_nonzero(other[1])) - shared
    return shared / max(either, 1)

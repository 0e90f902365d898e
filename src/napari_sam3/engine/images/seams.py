"""Tiles that cover a large frame, and what is found on them put together without seams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..finding.concepts import Candidates
from ..finding.exemplars import Box
from .frames import Frames
from .seam_pieces import Meeting, Pieces, collected, meetings
from .window_choice import FINE_STEP, SIDE
from .windows import Window

OVERLAP = 128
"""Neighbouring tiles share a strip at least so wide, in pixels."""
COVERED = 0.5
"""A piece that its tile cuts is left out if a whole one covers this share of it."""
ALIKE = 0.5
"""Pieces of two tiles are one object if they overlap so much, as intersection over union."""

Kept = NDArray[np.bool_]


def tiles_of(frames: Frames, region: Box | None = None, side: int = SIDE) -> list[Window]:
    """Cover a region of a frame, or all of it, with overlapping windows of level 0.

    They begin at multiples of 64 pixels. A region gets some surroundings on all sides.
    """
    height, width = frames.shape
    corners = np.sort(np.reshape(region or (0, 0, height, width), (2, 2)), axis=0)
    (top, left), (bottom, right) = corners.tolist()
    return [
        Window(0, row, col, min(side, height - row), min(side, width - col))
        for row in _starts(top, bottom, height, side)
        for col in _starts(left, right, width, side)
    ]


def merged(parts: Iterable[tuple[Window, Candidates]], shape: tuple[int, int]) -> Candidates:
    """Put what was found on windows together, as candidates of the frame (H, W).

    Parts are taken one by one, and nothing of them is held but their candidates. A piece that its
    window cuts is left out where a neighbour shows it whole, and joined with the other pieces of
    its object where none does; its score is then their mean by area. Of two whole pieces that are
    alike the better one stays. Other scores stay as they are.
    """
    pieces = collected(parts, shape)
    met = list(meetings(pieces))
    is_kept = np.ones(len(pieces.found), bool)
    _leave_out_what_is_whole_elsewhere(met, pieces, is_kept)
    _leave_out_doubles(met, pieces, is_kept)
    objects = _joined(met, pieces, is_kept)
    singles = [own[0] for own in objects if len(own) == 1]
    groups = [own for own in objects if len(own) > 1]
    return _with_groups(pieces.found, singles, groups)


def _starts(first: float, last: float, size: int, side: int) -> list[int]:
    """Return where windows begin along one side of a frame."""
    begin, end = max(first - OVERLAP / 2, 0), min(last + OVERLAP / 2, size)
    latest = -(-max(size - side, 0) // FINE_STEP) * FINE_STEP
    if end - begin <= side - FINE_STEP or size <= side:
        middle = round((begin + end - side) / 2 / FINE_STEP) * FINE_STEP
        return [min(max(middle, 0), latest)]
    start = int(begin) // FINE_STEP * FINE_STEP
    stop = min(-(-int(np.ceil(end) - side) // FINE_STEP) * FINE_STEP, latest)
    return [*range(start, stop, side - OVERLAP), stop]


def _leave_out_what_is_whole_elsewhere(
    met: Sequence[Meeting], pieces: Pieces, is_kept: Kept
) -> None:
    areas = pieces.found.areas
    for pair in met:
        for own, other in ((pair.one, pair.other), (pair.other, pair.one)):
            is_covered = pair.shared >= COVERED * areas[own]
            if pieces.is_cut[own] and not pieces.is_cut[other] and is_covered:
                is_kept[own] = False


def _leave_out_doubles(met: Sequence[Meeting], pieces: Pieces, is_kept: Kept) -> None:
    for pair in sorted(met, key=lambda pair: -pair.likeness):
        own = [pair.one, pair.other]
        if pair.likeness >= ALIKE and is_kept[own].all() and not pieces.is_cut[own].any():
            is_kept[min(own, key=lambda index: pieces.found.scores[index])] = False


def _joined(met: Sequence[Meeting], pieces: Pieces, is_kept: Kept) -> list[list[int]]:
    """Group the pieces that are kept, those of one object together."""
    open_ends = is_kept & pieces.is_cut
    pairs = [
        (pair.one, pair.other)
        for pair in met
        if pair.likeness >= ALIKE and open_ends[pair.one] and open_ends[pair.other]
    ]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (first, second)), (len(is_kept), len(is_kept)))
    groups: dict[int, list[int]] = {}
    for position, group in enumerate(connected_components(graph, directed=False)[1].tolist()):
        if is_kept[position]:
            groups.setdefault(group, []).append(position)
    return list(groups.values())


def _with_groups(
    found: Candidates, singles: Sequence[int], groups: Sequence[Sequence[int]]
) -> Candidates:
    """Return single candidates, then every group as one."""
    whole = found.taken(singles)
    if not groups:
        return whole
    boxes = [
        [*found.boxes[own, :2].min(0), *found.boxes[own, 2:].max(0)] for own in map(list, groups)
    ]
    masks = [_union(found.taken(own)) for own in groups]
    weighted = [
        np.average(found.scores[list(own)], weights=found.areas[list(own)]) for own in groups
    ]
    return replace(
        whole,
        boxes=np.concatenate([whole.boxes, boxes]),
        masks=(*whole.masks, *masks),
        scores=np.concatenate([whole.scores, weighted]),
    )


def _union(pieces: Candidates) -> NDArray[np.bool_]:
    """Draw pieces of one object on the box around them."""
    top, left = pieces.boxes[:, :2].min(0)
    bottom, right = pieces.boxes[:, 2:].max(0)
    mask = np.zeros((bottom - top, right - left), bool)
    for (row, col, end, stop), piece in zip(pieces.boxes.tolist(), pieces.masks, strict=True):
        mask[row - top : end - top, col - left : stop - left] |= piece
    return mask

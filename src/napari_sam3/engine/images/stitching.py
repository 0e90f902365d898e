"""What was found on overlapping windows, piece by piece, and where pieces meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...values import Box, Candidates, Corners, Mask
from .frames import Frames
from .tiling import FINE_STEP, SIDE, on_frame
from .windows import Window

NEAR = 2
"""A piece that ends so near to a side that cuts the frame is cut, in pixels of the level."""

Boxes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fragments:
    """The candidates of several windows together."""

    found: Candidates  # N of them, in pixels of the frame
    is_cut: NDArray[np.bool_]  # (N,) whether it may go on beyond its window
    windows: NDArray[np.int64]  # (N,) position of the window that it is from
    seen: Boxes  # (W, 4) what the windows show: first row, col, last row + 1, col + 1


@dataclass(frozen=True, slots=True)
class FragmentPair:
    """Two pieces of different windows that share pixels."""

    one: int
    other: int
    shared: int  # pixels that belong to both
    similarity: float  # intersection over union of what both windows show of them


def collected(parts: Iterable[tuple[Window, Candidates]], shape: tuple[int, int]) -> Fragments:
    """Bring the candidates of windows to their frame (H, W), one window after the other."""
    placed: list[Candidates] = []
    is_cut: list[NDArray[np.bool_]] = []
    seen: list[tuple[int, int, int, int]] = []
    for window, found in parts:
        placed.append(_on_frame(found, window, shape))
        is_cut.append(_cut(placed[-1].boxes, window, shape))
        seen.append(window.box(shape))
    windows = [np.full(len(found), position) for position, found in enumerate(placed)]
    return Fragments(
        _together(placed, shape),
        np.concatenate([np.zeros(0, bool), *is_cut]),
        np.concatenate([np.zeros(0, np.int64), *windows]),
        np.array(seen, np.int64).reshape(-1, 4),
    )


def fragment_pairs(pieces: Fragments) -> Iterator[FragmentPair]:
    """Yield all pairs of pieces from different windows that share pixels."""
    boxes = pieces.found.boxes
    for window, seen in enumerate(pieces.seen):
        own = np.flatnonzero(pieces.windows == window)
        others = np.flatnonzero((pieces.windows > window) & _overlap(boxes, seen))
        pairs = np.argwhere(_overlap(boxes[own][:, None], boxes[others]))
        for first, second in pairs.tolist():
            fragment_pair = _fragment_pair(pieces, int(own[first]), int(others[second]))
            if fragment_pair.shared:
                yield fragment_pair


def _fragment_pair(pieces: Fragments, one: int, other: int) -> FragmentPair:
    boxes, masks, windows = pieces.found.boxes, pieces.found.masks, pieces.windows
    both = _intersection(pieces.seen[windows[one]], pieces.seen[windows[other]])
    sizes = [
        int(np.count_nonzero(_part(masks[index], boxes[index], both))) for index in (one, other)
    ]
    common = _intersection(boxes[one], boxes[other])
    parts = [_part(masks[index], boxes[index], common) for index in (one, other)]
    shared = int(np.count_nonzero(parts[0] & parts[1]))
    return FragmentPair(one, other, shared, shared / max(sum(sizes) - shared, 1))


def _part(mask: NDArray[np.bool_], box: Boxes, wanted: Boxes) -> NDArray[np.bool_]:
    """Cut out of a mask, which fills a box, what is in another box."""
    top, left, bottom, right = _intersection(box, wanted) - np.tile(box[:2], 2)
    return mask[top : max(bottom, top), left : max(right, left)]


def _intersection(one: Boxes, other: Boxes) -> Boxes:
    return np.concatenate([np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])])


def _overlap(boxes: Boxes, other: Boxes) -> NDArray[np.bool_]:
    """Whether boxes (..., 4) share pixels with other ones (..., 4)."""
    first = np.maximum(boxes[..., :2], other[..., :2])
    last = np.minimum(boxes[..., 2:], other[..., 2:])
    return np.asarray((first < last).all(-1))


def _cut(boxes: Boxes, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
    return np.array([not window.frees(box, shape, NEAR) for box in boxes.tolist()], bool)


def _on_frame(found: Candidates, window: Window, shape: tuple[int, int]) -> Candidates:
    """Turn candidates of a window into some of its frame (H, W)."""
    hypotheses = [
        on_frame(Mask(mask, Box(*box), window.shape), window, shape)
        for mask, box in zip(found.masks, found.boxes.tolist(), strict=True)
    ]
    boxes = np.array([hypothesis.box for hypothesis in hypotheses], np.int64).reshape(-1, 4)
    masks = tuple(hypothesis.crop for hypothesis in hypotheses)
    return replace(found, shape=shape, boxes=boxes, masks=masks)


def _together(parts: list[Candidates], shape: tuple[int, int]) -> Candidates:
    return Candidates(
        shape,
        np.concatenate([np.zeros((0, 4), np.int64), *(part.boxes for part in parts)]),
        tuple(mask for part in parts for mask in part.masks),
        np.concatenate([np.zeros(0), *(part.scores for part in parts)]),
        parts[0].frame if parts else 0,
        any(part.is_saturated for part in parts),
        sum(part.tiles_searched for part in parts),
    )


OVERLAP = 128
"""Neighbouring tiles share a strip at least so wide, in pixels."""
COVERED = 0.5
"""A piece that its tile cuts is left out if a whole one covers this share of it."""
ALIKE = 0.5
"""Pieces of two tiles are one object if they overlap so much, as intersection over union."""

Kept = NDArray[np.bool_]


def tiles_of(frames: Frames, region: Corners | None = None, side: int = SIDE) -> list[Window]:
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
    met = list(fragment_pairs(pieces))
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
    met: Sequence[FragmentPair], pieces: Fragments, is_kept: Kept
) -> None:
    areas = pieces.found.areas
    for pair in met:
        for own, other in ((pair.one, pair.other), (pair.other, pair.one)):
            is_covered = pair.shared >= COVERED * areas[own]
            if pieces.is_cut[own] and not pieces.is_cut[other] and is_covered:
                is_kept[own] = False


def _leave_out_doubles(met: Sequence[FragmentPair], pieces: Fragments, is_kept: Kept) -> None:
    for pair in sorted(met, key=lambda pair: -pair.similarity):
        own = [pair.one, pair.other]
        if pair.similarity >= ALIKE and is_kept[own].all() and not pieces.is_cut[own].any():
            is_kept[min(own, key=lambda index: pieces.found.scores[index])] = False


def _joined(met: Sequence[FragmentPair], pieces: Fragments, is_kept: Kept) -> list[list[int]]:
    """Group the pieces that are kept, those of one object together."""
    open_ends = is_kept & pieces.is_cut
    pairs = [
        (pair.one, pair.other)
        for pair in met
        if pair.similarity >= ALIKE and open_ends[pair.one] and open_ends[pair.other]
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

"""What was found on overlapping windows, piece by piece, and where pieces meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..finding.concepts import Candidates
from ..masks import Place, Reading
from .window_masks import on_frame
from .windows import Window

NEAR = 2
"""A piece that ends so near to a side that cuts the frame is cut, in pixels of the level."""

Boxes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The candidates of several windows together."""

    found: Candidates  # N of them, in pixels of the frame
    is_cut: NDArray[np.bool_]  # (N,) whether it may go on beyond its window
    windows: NDArray[np.int64]  # (N,) position of the window that it is from
    seen: Boxes  # (W, 4) what the windows show: first row, col, last row + 1, col + 1


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two pieces of different windows that share pixels."""

    one: int
    other: int
    shared: int  # pixels that belong to both
    likeness: float  # intersection over union of what both windows show of them


def collected(parts: Iterable[tuple[Window, Candidates]], shape: tuple[int, int]) -> Pieces:
    """Bring the candidates of windows to their frame (H, W), one window after the other."""
    placed: list[Candidates] = []
    is_cut: list[NDArray[np.bool_]] = []
    seen: list[tuple[int, int, int, int]] = []
    for window, found in parts:
        placed.append(_on_frame(found, window, shape))
        is_cut.append(_cut(placed[-1].boxes, window, shape))
        seen.append(window.box(shape))
    windows = [np.full(len(found), position) for position, found in enumerate(placed)]
    return Pieces(
        _together(placed, shape),
        np.concatenate([np.zeros(0, bool), *is_cut]),
        np.concatenate([np.zeros(0, np.int64), *windows]),
        np.array(seen, np.int64).reshape(-1, 4),
    )


def meetings(pieces: Pieces) -> Iterator[Meeting]:
    """Yield all pairs of pieces from different windows that share pixels."""
    boxes = pieces.found.boxes
    for window, seen in enumerate(pieces.seen):
        own = np.flatnonzero(pieces.windows == window)
        others = np.flatnonzero((pieces.windows > window) & _overlap(boxes, seen))
        pairs = np.argwhere(_overlap(boxes[own][:, None], boxes[others]))
        for first, second in pairs.tolist():
            meeting = _meeting(pieces, int(own[first]), int(others[second]))
            if meeting.shared:
                yield meeting


def _meeting(pieces: Pieces, one: int, other: int) -> Meeting:
    boxes, masks, windows = pieces.found.boxes, pieces.found.masks, pieces.windows
    both = _intersection(pieces.seen[windows[one]], pieces.seen[windows[other]])
    sizes = [
        int(np.count_nonzero(_part(masks[index], boxes[index], both))) for index in (one, other)
    ]
    common = _intersection(boxes[one], boxes[other])
    parts = [_part(masks[index], boxes[index], common) for index in (one, other)]
    shared = int(np.count_nonzero(parts[0] & parts[1]))
    return Meeting(one, other, shared, shared / max(sum(sizes) - shared, 1))


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
    readings = [
        on_frame(Reading("whole", mask, 1.0, Place(top, left, window.shape)), window, shape)
        for mask, (top, left) in zip(found.masks, found.boxes[:, :2].tolist(), strict=True)
    ]
    boxes = np.array([reading.box for reading in readings], np.int64).reshape(-1, 4)
    masks = tuple(reading.patch for reading in readings)
    return replace(found, shape=shape, boxes=boxes, masks=masks)


def _together(parts: list[Candidates], shape: tuple[int, int]) -> Candidates:
    return Candidates(
        shape,
        np.concatenate([np.zeros((0, 4), np.int64), *(part.boxes for part in parts)]),
        tuple(mask for part in parts for mask in part.masks),
        np.concatenate([np.zeros(0), *(part.scores for part in parts)]),
        parts[0].frame if parts else 0,
        any(part.is_saturated for part in parts),
        sum(part.windows_looked_at for part in parts),
    )

"""Stitching candidates of overlapping windows: fragments of one object become one candidate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...values import Box, Candidates, Mask
from .frames import Window
from .tiling import mask_on_frame

FRAGMENT_MARGIN = 2
"""A fragment that ends so near to a side that cuts the frame is cut, in pixels of the level."""
WHOLE_SHARE = 0.5
"""A cut fragment is left out if a whole one overlaps with this share of its area."""
SAME_OBJECT_IOU = 0.5
"""Fragments of two windows are one object from this intersection over union on."""

Boxes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Fragments:
    """The candidates of several windows together, each of them whole or cut by its window."""

    candidates: Candidates  # N of them, in pixels of the frame
    is_cut: Flags  # (N,) whether it may go on beyond its window
    windows: NDArray[np.int64]  # (N,) position of its window
    window_boxes: Boxes  # (W, 4) of the windows: first row, col, last row + 1, col + 1

    def window_box(self, fragment: int) -> Box:
        """Return the part of the frame that the window of a fragment shows."""
        return Box(*self.window_boxes[self.windows[fragment]].tolist())


@dataclass(frozen=True, slots=True)
class FragmentPair:
    """Two fragments of different windows that share pixels."""

    first: int  # position among the fragments
    second: int
    shared: int  # pixels that belong to both
    similarity: float  # intersection over union of what both windows show of them


def stitched(parts: Iterable[tuple[Window, Candidates]], shape: tuple[int, int]) -> Candidates:
    """Stitch the candidates of windows to candidates of the frame (H, W).

    Parts are taken one by one, and nothing of them is held but their candidates. A fragment that
    its window cuts is left out where another window shows the object whole, and joined with the
    other fragments of the object where none does; its score is then their mean by area. Of two
    whole fragments of one object the better one stays. Other scores stay as they are.
    """
    fragments = fragments_of(parts, shape)
    pairs = list(fragment_pairs(fragments))
    is_kept = np.ones(len(fragments.candidates), bool)
    _suppress_cut(pairs, fragments, is_kept)
    _suppress_duplicates(pairs, fragments, is_kept)
    objects = _objects(pairs, fragments, is_kept)
    whole = [group[0] for group in objects if len(group) == 1]
    joined = [group for group in objects if len(group) > 1]
    found = fragments.candidates
    masks = [*map(found.mask, whole), *(_joined(found, group) for group in joined)]
    kept = Candidates.of(masks, shape)
    return replace(found, boxes=kept.boxes, masks=kept.masks, scores=kept.scores)


def fragments_of(parts: Iterable[tuple[Window, Candidates]], shape: tuple[int, int]) -> Fragments:
    """Bring the candidates of windows to their frame (H, W), one window after the other."""
    by_window: list[Candidates] = []
    is_cut: list[Flags] = []
    window_boxes: list[Box] = []
    for window, candidates in parts:
        by_window.append(_on_frame(candidates, window, shape))
        is_cut.append(_is_cut(by_window[-1].boxes, window, shape))
        window_boxes.append(window.box(shape))
    windows = [np.full(len(candidates), n) for n, candidates in enumerate(by_window)]
    return Fragments(
        _concatenated(by_window, shape),
        np.concatenate([np.zeros(0, bool), *is_cut]),
        np.concatenate([np.zeros(0, np.int64), *windows]),
        np.array(window_boxes, np.int64).reshape(-1, 4),
    )


def fragment_pairs(fragments: Fragments) -> Iterator[FragmentPair]:
    """Yield all pairs of fragments from different windows that share pixels."""
    boxes = fragments.candidates.boxes
    for window, window_box in enumerate(fragments.window_boxes):
        own = np.flatnonzero(fragments.windows == window)
        is_later = (fragments.windows > window) & _intersects(boxes, window_box)
        later = np.flatnonzero(is_later)
        for row, column in np.argwhere(_intersects(boxes[own][:, None], boxes[later])).tolist():
            pair = _fragment_pair(fragments, int(own[row]), int(later[column]))
            if pair.shared:
                yield pair


def _on_frame(candidates: Candidates, window: Window, shape: tuple[int, int]) -> Candidates:
    """Turn candidates of a window into candidates of its frame (H, W)."""
    masks = [
        mask_on_frame(Mask(crop, Box(*box), window.shape), window, shape)
        for crop, box in zip(candidates.masks, candidates.boxes.tolist(), strict=True)
    ]
    on_frame = Candidates.of(masks, shape)
    return replace(candidates, shape=shape, boxes=on_frame.boxes, masks=on_frame.masks)


def _is_cut(boxes: Boxes, window: Window, shape: tuple[int, int]) -> Flags:
    is_whole = [window.contains(box, shape, FRAGMENT_MARGIN) for box in boxes.tolist()]
    return ~np.array(is_whole, bool)


def _concatenated(by_window: Sequence[Candidates], shape: tuple[int, int]) -> Candidates:
    return Candidates(
        shape,
        np.concatenate([np.zeros((0, 4), np.int64), *(part.boxes for part in by_window)]),
        tuple(crop for part in by_window for crop in part.masks),
        np.concatenate([np.zeros(0), *(part.scores for part in by_window)]),
        by_window[0].frame if by_window else 0,
        any(part.is_saturated for part in by_window),
        sum(part.tiles_searched for part in by_window),
    )


def _intersects(boxes: Boxes, with_boxes: Boxes) -> Flags:
    """Whether boxes (..., 4) share pixels with boxes (..., 4)."""
    start = np.maximum(boxes[..., :2], with_boxes[..., :2])
    stop = np.minimum(boxes[..., 2:], with_boxes[..., 2:])
    return np.asarray((start < stop).all(-1))


def _fragment_pair(fragments: Fragments, first: int, second: int) -> FragmentPair:
    masks = [fragments.candidates.mask(index) for index in (first, second)]
    shown = fragments.window_box(first).intersection(fragments.window_box(second))
    area = sum(_area_within(mask, shown) for mask in masks)
    shared = masks[0].shared_area(masks[1])
    return FragmentPair(first, second, shared, shared / max(area - shared, 1))


def _area_within(mask: Mask, box: Box) -> int:
    part = mask.box.intersection(box)
    return 0 if part.is_empty else int(np.count_nonzero(mask.within(part)))


def _suppress_cut(pairs: Sequence[FragmentPair], fragments: Fragments, is_kept: Flags) -> None:
    """Leave out cut fragments of objects that another window shows whole."""
    areas, is_cut = fragments.candidates.areas, fragments.is_cut
    for pair in pairs:
        for cut, whole in ((pair.first, pair.second), (pair.second, pair.first)):
            overlaps = pair.shared >= WHOLE_SHARE * areas[cut]
            if is_cut[cut] and not is_cut[whole] and overlaps:
                is_kept[cut] = False


def _suppress_duplicates(
    pairs: Sequence[FragmentPair], fragments: Fragments, is_kept: Flags
) -> None:
    """Leave out the worse one of two whole fragments of one object, the most similar ones first."""
    scores = fragments.candidates.scores
    for pair in sorted(pairs, key=lambda pair: -pair.similarity):
        both = [pair.first, pair.second]
        is_whole = is_kept[both].all() and not fragments.is_cut[both].any()
        if pair.similarity >= SAME_OBJECT_IOU and is_whole:
            is_kept[min(both, key=lambda index: scores[index])] = False


def _objects(
    pairs: Sequence[FragmentPair], fragments: Fragments, is_kept: Flags
) -> list[list[int]]:
    """Group the fragments that are kept by their object."""
    is_open = is_kept & fragments.is_cut
    edges = [
        (pair.first, pair.second)
        for pair in pairs
        if pair.similarity >= SAME_OBJECT_IOU and is_open[pair.first] and is_open[pair.second]
    ]
    first, second = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), (first, second)), (len(is_kept), len(is_kept)))
    groups: dict[int, list[int]] = {}
    for fragment, group in enumerate(connected_components(graph, directed=False)[1].tolist()):
        if is_kept[fragment]:
            groups.setdefault(group, []).append(fragment)
    return list(groups.values())


def _joined(found: Candidates, group: Sequence[int]) -> Mask:
    """Return the fragments of one object as one mask, on the box around them."""
    masks = [found.mask(fragment) for fragment in group]
    box = reduce(Box.union, (mask.box for mask in masks))
    crop = np.zeros(box.shape, bool)
    for mask in masks:
        crop[mask.box.shifted(-box.top, -box.left).slices] |= mask.crop
    score = np.average([mask.score for mask in masks], weights=[mask.area for mask in masks])
    return Mask(crop, box, found.shape, float(score))

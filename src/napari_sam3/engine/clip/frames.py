"""What a text model says of the candidates of a frame, however large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..finding.concepts import Candidates
from ..images.picture import Picture
from ..images.seams import tiles_of
from ..images.windows import Window
from .clip import Clip
from .phrases import Phrase


def ranked_on_frame(
    clip: Clip, picture: Picture, candidates: Candidates, phrase: Phrase
) -> Candidates:
    """Return the candidates of a frame with scores for how well a phrase fits them.

    A large frame is read tile by tile; every candidate is seen on the tile that has most around
    it.
    """
    if not len(candidates):
        return candidates
    if not picture.frames.is_large:
        return clip.ranked(picture.draw(), candidates, phrase)
    tiles, places = _tiled(picture, candidates)
    scores = candidates.scores.copy()
    for place in np.unique(places).tolist():
        own = np.flatnonzero(places == place)
        shown, part = _seen(picture, candidates.taken(own), tiles[place])
        scores[own] = clip.ranked(shown, part, phrase).scores
    return replace(candidates, scores=scores)


def suggested_on_frame(
    clip: Clip, picture: Picture, candidates: Candidates, positions: Sequence[int]
) -> list[tuple[str, float]]:
    """Return which phrases fit some candidates of a frame, with their shares, the best first.

    Of a large frame the tile is looked at that has most of them.
    """
    if not len(positions):
        return []
    if not picture.frames.is_large:
        return clip.suggestions(picture.draw(), candidates, positions)
    chosen = candidates.taken(positions)
    tiles, places = _tiled(picture, chosen)
    fullest = int(np.bincount(places).argmax())
    own = chosen.taken(np.flatnonzero(places == fullest))
    shown, part = _seen(picture, own, tiles[fullest])
    return clip.suggestions(shown, part, range(len(part)))


def _tiled(picture: Picture, candidates: Candidates) -> tuple[list[Window], NDArray[np.int64]]:
    """Cover candidates with tiles, and return for each of them, (N,), the tile to see it on."""
    first, last = candidates.boxes[:, :2].min(axis=0), candidates.boxes[:, 2:].max(axis=0)
    tiles = tiles_of(picture.frames, (*first.tolist(), *last.tolist()))
    return tiles, _places(candidates.boxes, tiles)


def _seen(
    picture: Picture, candidates: Candidates, tile: Window
) -> tuple[NDArray[np.float32], Candidates]:
    """Draw a tile of a frame, (h, w, 3), and its candidates."""
    return replace(picture, window=tile).draw(), _on_tile(candidates, tile)


def _places(boxes: NDArray[np.int64], tiles: list[Window]) -> NDArray[np.int64]:
    """Return for every box, (N, 4), the tile in which its middle is farthest from the sides."""
    middles = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    corners = np.array([[tile.top, tile.left] for tile in tiles])
    sizes = np.array([tile.shape for tile in tiles])
    depths = np.minimum(middles - corners, corners + sizes - middles).min(axis=2)
    return np.asarray(depths.argmax(axis=1))


def _on_tile(candidates: Candidates, tile: Window) -> Candidates:
    """Cut out of candidates of a frame what a tile of its finest level shows."""
    corner = np.array([tile.top, tile.left])
    moved = candidates.boxes - np.tile(corner, 2)
    boxes = np.clip(moved, 0, np.tile(tile.shape, 2))
    masks = tuple(
        mask[box[0] - start[0] : box[2] - start[0], box[1] - start[1] : box[3] - start[1]]
        for mask, box, start in zip(candidates.masks, boxes, moved, strict=True)
    )
    return replace(candidates, shape=tile.shape, boxes=boxes, masks=masks)

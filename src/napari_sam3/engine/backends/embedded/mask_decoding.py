"""From prompts to questions, and from the guesses that answer them to the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ....values import Box, Mask, Prompts
from ..base import Prediction
from .decoder_queries import OUTSIDE, SIDE, DecoderOutput, DecoderQuery, render
from .pyramid import ZOOM, Crop, Pyramid

TYPICAL = 36.0
"""The size at which an object is looked at, when it is known, in pixels of the level."""
CORRECTED = 44.0
"""The same where its outline is corrected."""
LARGEST = 88.0
"""The largest size an object may have on a crop, in pixels of the level."""
TINY = 18.0
"""An object smaller than this, in pixels of the image, is looked at again, enlarged."""
FINER = 2.0
"""Weight of the finer one of two scales on which a box is answered."""
COARSER = 0.85
"""Trust in a click's guess on a level, relative to that on the next finer one."""
DISOBEDIENT = 0.7
"""Trust in a guess per click that is on the wrong side of it, relative to an obedient one."""
MARGIN = 6.0
"""Free space between a click and the border of a crop, in pixels of the level."""


def queries_on(
    prompts: Prompts, before: DecoderOutput | None, pyramid: Pyramid
) -> list[DecoderQuery]:
    """Ask about one object, on all levels on which it may be recognised.

    What was drawn before is corrected, but clicks alone are also looked at afresh: a first guess
    on the wrong level is hard to correct.
    """
    corrections = [] if before is None else _corrections(prompts, before, pyramid)
    if not _encloses(prompts):
        crops = crops_on_clicks(prompts, pyramid)
    else:
        crops = [] if corrections else _two_crops(_joined(_extent(prompts), prompts), pyramid)
    return corrections + [query_on(prompts, crop) for crop in crops]


def _two_crops(box: NDArray[np.float64], pyramid: Pyramid) -> list[Crop]:
    """Put crops around a box (4,) on the scale that suits it best and on the next kept one."""
    first, *others = crops_around(box, pyramid)
    return [first, *[crop for crop in others if crop.scale != ZOOM][:1]]


def _corrections(prompts: Prompts, before: DecoderOutput, pyramid: Pyramid) -> list[DecoderQuery]:
    if np.isnan(before.box).any():
        return []
    crops = crops_around(_joined(before.box, prompts), pyramid, CORRECTED)
    return [query_on(prompts, crops[0], before)]


def crops_around(box: NDArray[np.float64], pyramid: Pyramid, pixels: float = TYPICAL) -> list[Crop]:
    """Put crops around a box (4,) of the image, first where it is nearest to so many pixels large.

    The finest scale is encoded on demand: it is for what is tiny, or to be seen larger than usual.
    """
    row, col = (box[:2] + box[2:]) / 2
    size = float((box[2:] - box[:2]).max())
    is_worth_it = size <= TINY or pixels > TYPICAL
    scales = [scale for scale in pyramid.scales if is_worth_it or scale < ZOOM]
    scales = [scale for scale in scales if size * scale <= LARGEST] or pyramid.scales[-1:]
    scales = sorted(scales, key=lambda scale: abs(np.log(max(size, 1) * scale / pixels)))
    return [Crop.around(row, col, scale) for scale in scales]


def crops_on_clicks(prompts: Prompts, pyramid: Pyramid) -> list[Crop]:
    """Put a crop around the positive clicks on every kept level on which they fit into one."""
    clicks = prompts.points[prompts.positive]
    row, col = (clicks.min(0) + clicks.max(0)) / 2
    crops = [Crop.around(row, col, level.scale) for level in pyramid.levels]
    return [crop for crop in crops if crop.holds(clicks, MARGIN)] or crops[-1:]


def closer_query(prompts: Prompts, best: DecoderOutput, pyramid: Pyramid) -> DecoderQuery | None:
    """Ask again, enlarged, where the best guess is too small to be seen well."""
    if _encloses(prompts) or best.size > TINY or best.crop.scale == ZOOM or not best.size:
        return None
    clicks = prompts.points[prompts.positive]
    row, col = (clicks.min(0) + clicks.max(0)) / 2
    crop = Crop.around(row, col, ZOOM)
    return query_on(prompts, crop) if crop.holds(clicks, MARGIN) else None


def ranked(guesses: Sequence[DecoderOutput], prompts: Prompts) -> list[DecoderOutput]:
    """Order guesses, the most trusted first; of a box, before them all, the mean of two scales."""
    ordered = sorted(guesses, key=lambda guess: -trust(guess, prompts))
    crops = {guess.crop for guess in ordered}
    if len(crops) < 2 or not _encloses(prompts):
        return ordered
    return [_mean([next(one for one in ordered if one.crop == crop) for crop in crops]), *ordered]


def _mean(guesses: Sequence[DecoderOutput]) -> DecoderOutput:
    """Average guesses from several scales on the finest, which draws outlines best and counts most.

    What they agree on is seldom wrong.
    """
    finest = max(guesses, key=lambda guess: guess.crop.scale)
    best = max(guesses, key=lambda guess: guess.score)
    weights = [FINER if guess is finest else 1.0 for guess in guesses]
    seen = [guess.seen_from(finest.crop) for guess in guesses]
    logits = np.average(seen, axis=0, weights=weights)
    return replace(best, crop=finest.crop, logits=logits.astype(np.float32))


def _encloses(prompts: Prompts) -> bool:
    """Whether the prompts tell how large the object is."""
    return len(prompts.boxes) > 0 or prompts.mask is not None


def trust(guess: DecoderOutput, prompts: Prompts) -> float:
    """How good a guess must be thought to be, 0..1: by its score, its level and the prompts."""
    value = guess.score
    if len(prompts.points):
        wrong = (guess.at(prompts.points) > 0) != prompts.positive
        value *= DISOBEDIENT ** int(wrong.sum())
    if len(prompts.boxes):
        return value * _overlap(guess.box, _extent(prompts)) ** 0.5
    value *= (guess.middle**0.3 + 0.1) / 1.1
    return float(value * _likelihood(guess.crop))


def can_win(question: DecoderQuery, best: float, prompts: Prompts) -> bool:
    """Whether an answer to this question could be trusted more than the best guess so far."""
    return best < (1.0 if len(prompts.boxes) else _likelihood(question.crop))


def _likelihood(crop: Crop) -> float:
    """Trust in what is seen on the level of a crop, relative to the finest."""
    return float(COARSER ** max(-np.log2(crop.scale), 0))


def previous_output(previous: Prediction | None) -> DecoderOutput | None:
    """Return what the model drew when it was asked before."""
    if previous is None or not previous.memory:
        return None
    guess: DecoderOutput = previous.memory[previous.hypotheses[0].name]
    return guess


def extent_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Box (4,) around a mask, (H, W)."""
    return np.array(Box.around(mask)) - 0.5


def query_on(prompts: Prompts, crop: Crop, before: DecoderOutput | None = None) -> DecoderQuery:
    """Ask about one object on a crop, where it was perhaps drawn before."""
    box = crop.box(_extent(prompts)) if len(prompts.boxes) else None
    maps = render(
        [(row, col) for row, col in crop.points(prompts.points)],
        prompts.positive.tolist(),
        box,
        None if before is None else before.seen_from(crop),
        None if prompts.mask is None else crop.cut(prompts.mask),
    )
    return DecoderQuery(crop, maps)


def _extent(prompts: Prompts) -> NDArray[np.float64]:
    """Box (4,) around all boxes, or around the mask."""
    if len(prompts.boxes):
        return np.concatenate([prompts.boxes[:, :2].min(0), prompts.boxes[:, 2:].max(0)])
    return extent_of(np.asarray(prompts.mask))


def _joined(box: NDArray[np.float64], prompts: Prompts) -> NDArray[np.float64]:
    """Box (4,) around a box and all positive clicks."""
    clicks = prompts.points[prompts.positive]
    return np.concatenate(
        [np.vstack([box[:2], clicks]).min(0), np.vstack([box[2:], clicks]).max(0)]
    )


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Intersection over union of two boxes (4,); 0 if either encloses nothing."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return shared / (areas - shared) if shared > 0 else 0.0


HOLE = 9
"""Holes of at most so many pixels of the level are filled."""
SURE = 2.0
"""The logit that a disobeyed click is raised or lowered to."""
REACH = 3.0
"""Radius of what is raised or lowered with it, in pixels of the level."""
_CENTRES = np.arange(SIDE) * 2 + 0.5


def draw_mask(guess: DecoderOutput, prompts: Prompts, shape: tuple[int, int]) -> Mask:
    """Return the mask of a decoder output on an image (H, W), so that it obeys the prompts."""
    window, logits = guess.crop.spread(bend(guess, prompts), shape)
    mask = (logits > 0) & _allowed(prompts, window)
    clicks, positive = _clicks(prompts, window, shape)
    mask[tuple(clicks[positive].T)] = True
    mask[tuple(clicks[~positive].T)] = False
    mask = _meant(mask, clicks[positive], _regions(prompts, window))
    _fill(mask, HOLE / guess.crop.scale**2, clicks[~positive])
    return Mask(mask, Box.at(*window), shape, guess.score)


def bend(guess: DecoderOutput, prompts: Prompts) -> NDArray[np.float32]:
    """Raise or lower the logits (56, 56) smoothly around clicks they disagree with."""
    logits = guess.logits
    signs = np.where(prompts.positive, 1.0, -1.0)
    for point, sign, value in zip(prompts.points, signs, guess.at(prompts.points), strict=True):
        if value * sign > 0 or value <= OUTSIDE:
            continue
        row, col = guess.crop.points(point[None])[0]
        squared = (_CENTRES[:, None] - row) ** 2 + (_CENTRES - col) ** 2
        bump = np.exp(-squared / (2 * REACH**2))
        logits = logits + ((SURE * sign - value) * bump).astype(np.float32)
    return logits


def _clicks(
    prompts: Prompts, window: tuple[slice, slice], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the clicked pixels (N, 2) of a window, and which of them are positive."""
    pixels = np.clip(np.floor(prompts.points + 0.5), 0, np.array(shape) - 1).astype(np.int64)
    first = np.array([part.start for part in window])
    last = np.array([part.stop for part in window])
    inside = ((pixels >= first) & (pixels < last)).all(1)
    return (pixels - first)[inside], prompts.positive[inside]


def _allowed(prompts: Prompts, window: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return where a mask may be: in one of the boxes, if there are any."""
    boxes = [_in_box(box, window) for box in prompts.boxes]
    return np.any(boxes, axis=0) if boxes else np.ones(1, bool)


def _in_box(box: NDArray[np.float64], window: tuple[slice, slice]) -> NDArray[np.bool_]:
    rows, cols = (np.arange(part.start, part.stop) for part in window)
    row0, col0, row1, col1 = box
    in_rows, in_cols = (rows >= row0) & (rows <= row1), (cols >= col0) & (cols <= col1)
    return np.asarray(in_rows[:, None] & in_cols)


def _regions(prompts: Prompts, window: tuple[slice, slice]) -> list[NDArray[np.bool_]]:
    """Return the regions of a window each of which holds a piece of the object."""
    if prompts.mask is not None:
        return [prompts.mask[window]]
    if len(prompts.boxes):
        return [_in_box(box, window) for box in prompts.boxes]
    return [np.ones(1, bool)]


def _meant(
    mask: NDArray[np.bool_], clicks: NDArray[np.int64], regions: Sequence[NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Keep the pieces that were clicked; if none was, the largest piece in each region."""
    pieces, count = ndimage.label(mask)
    kept = np.zeros(count + 1, bool)
    kept[pieces[tuple(clicks.T)]] = True
    for region in [] if len(clicks) else regions:
        kept[np.bincount(pieces[region & mask], minlength=2).argmax()] = True
    kept[0] = False
    return np.asarray(kept[pieces])


def _fill(mask: NDArray[np.bool_], largest: float, clicks: NDArray[np.int64]) -> None:
    """Fill small holes, in place, but none that was clicked."""
    holes, count = ndimage.label(~mask)
    small = np.bincount(holes.ravel(), minlength=count + 1) <= largest
    rim = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]) if mask.size else 0
    small[rim] = False
    small[holes[tuple(clicks.T)]] = False
    small[0] = False
    mask |= small[holes]

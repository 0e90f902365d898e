"""The multimask output: mask hypotheses of one object, scored, ranked and drawn on the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ....values import HYPOTHESIS_NAMES, Box, Mask, Prompts, named_hypotheses
from ..base import Prediction
from .decoder_queries import OUTSIDE, DecoderOutput, DecoderQuery, decode_objects
from .feature_pyramid import Crop, FeaturePyramid
from .network import Network
from .prompt_encoder import CELL_CENTRES, extent_of, has_extent, prompt_queries, zoomed_query

SAME_HYPOTHESIS_IOU = 0.85
"""Masks that overlap by more than this are one hypothesis."""
FEW_OBJECTS = 8
"""Of so many objects at once, all queries are decoded."""
FINER_WEIGHT = 2.0
"""Weight of the finer one of two scales on which a box is decoded."""
COARSER_TRUST = 0.85
"""Trust in a mask for clicks on a level, relative to that on the next finer level."""
MISSED_CLICK_TRUST = 0.7
"""Trust in a mask per click that is on its wrong side, relative to a mask that fits all clicks."""
HOLE_AREA = 9
"""Holes of at most so many pixels of the level are filled."""
CORRECTED_LOGIT = 2.0
"""The logit that a click on the wrong side of a mask is raised or lowered to."""
CORRECTION_RADIUS = 3.0
"""Radius of what is raised or lowered with it, in pixels of the level."""


def predict_prompted(
    network: Network,
    pyramid: FeaturePyramid,
    prompts: Sequence[Prompts],
    previous: Sequence[Prediction | None],
) -> list[Prediction]:
    """Segment several objects of one image by their prompts."""
    queries = [
        prompt_queries(own, _previous_output(earlier), pyramid)
        for own, earlier in zip(prompts, previous, strict=True)
    ]
    outputs = _decode_likely(network, pyramid, prompts, queries)
    zoomed = [
        zoomed_query(own, ranked(hypotheses, own)[0], pyramid)
        for own, hypotheses in zip(prompts, outputs, strict=True)
    ]
    further = decode_objects(
        network, pyramid, [[] if query is None else [query] for query in zoomed]
    )
    return [
        _prompted(ranked(hypotheses + more, own), own, pyramid.shape)
        for own, hypotheses, more in zip(prompts, outputs, further, strict=True)
    ]


def distinct_masks(
    outputs: Sequence[DecoderOutput], prompts: Prompts, shape: tuple[int, int]
) -> list[tuple[DecoderOutput, Mask]]:
    """Draw outputs, best first, until there are as many different masks as names of hypotheses."""
    kept: list[tuple[DecoderOutput, Mask]] = []
    for output in outputs:
        mask = draw_mask(output, prompts, shape)
        is_known = any(mask.iou(known) > SAME_HYPOTHESIS_IOU for _, known in kept)
        if kept and (is_known or not mask.area):
            continue
        kept.append((output, mask))
        if len(kept) == len(HYPOTHESIS_NAMES):
            break
    return kept


def prediction_of(
    drawn: Sequence[tuple[DecoderOutput, Mask]], scores: Sequence[float]
) -> Prediction:
    """Return masks as hypotheses with these scores; the output of each is kept by its name."""
    masks = [replace(mask, score=score) for (_, mask), score in zip(drawn, scores, strict=True)]
    outputs = {id(mask.crop): output for output, mask in drawn}
    hypotheses = named_hypotheses(masks)
    by_name = {mask.name: outputs[id(mask.crop)] for mask in hypotheses}
    return Prediction(tuple(mask.trimmed() for mask in hypotheses), memory=by_name)


def ranked(outputs: Sequence[DecoderOutput], prompts: Prompts) -> list[DecoderOutput]:
    """Order outputs, the most trusted first; of a box, before them all, the mean of two scales."""
    ordered = sorted(outputs, key=lambda output: -trust(output, prompts))
    crops = {output.crop for output in ordered}
    if len(crops) < 2 or not has_extent(prompts):
        return ordered
    best = [next(output for output in ordered if output.crop == crop) for crop in crops]
    return [_mean_output(best), *ordered]


def trust(output: DecoderOutput, prompts: Prompts) -> float:
    """Return how good an output must be, 0..1: by its score, its level and the prompts."""
    value = output.score
    if len(prompts.points):
        is_missed = (output.logits_at(prompts.points) > 0) != prompts.positive
        value *= MISSED_CLICK_TRUST ** int(is_missed.sum())
    if len(prompts.boxes):
        return value * _box_iou(output.box, extent_of(prompts)) ** 0.5
    value *= (output.centre**0.3 + 0.1) / 1.1
    return float(value * _level_trust(output.crop))


def draw_mask(output: DecoderOutput, prompts: Prompts, shape: tuple[int, int]) -> Mask:
    """Return the mask of an output on an image (H, W), changed so that it fits the prompts."""
    slices, logits = output.crop.upscale_logits(_corrected_logits(output, prompts), shape)
    pixels = (logits > 0) & _inside_boxes(prompts, slices)
    clicks, is_positive = _clicked_pixels(prompts, slices, shape)
    pixels[tuple(clicks[is_positive].T)] = True
    pixels[tuple(clicks[~is_positive].T)] = False
    pixels = _connected(pixels, clicks[is_positive], _regions(prompts, slices))
    _fill_holes(pixels, HOLE_AREA / output.crop.scale**2, clicks[~is_positive])
    return Mask(pixels, Box.at(*slices), shape, output.score)


def _previous_output(previous: Prediction | None) -> DecoderOutput | None:
    """Return the output of the best hypothesis of a previous prediction."""
    if previous is None or not previous.memory:
        return None
    output: DecoderOutput = previous.memory[previous.hypotheses[0].name]
    return output


def _decode_likely(
    network: Network,
    pyramid: FeaturePyramid,
    prompts: Sequence[Prompts],
    queries: Sequence[Sequence[DecoderQuery]],
) -> list[list[DecoderOutput]]:
    """Decode several queries of each of several objects; of many objects, only the likely ones.

    The best output is the same in either case. The queries that can no longer change it are
    what gives alternatives of one object, and what takes long for a hundred.
    """
    if len(prompts) <= FEW_OBJECTS:
        return decode_objects(network, pyramid, queries)
    outputs: list[list[DecoderOutput]] = [[] for _ in prompts]
    best = [0.0] * len(prompts)
    for turn in range(max(map(len, queries))):
        likely = [
            own[turn : turn + 1] if turn < len(own) and _can_win(own[turn], most, by) else []
            for own, most, by in zip(queries, best, prompts, strict=True)
        ]
        for index, more in enumerate(decode_objects(network, pyramid, likely)):
            outputs[index].extend(more)
            best[index] = max([best[index], *(trust(output, prompts[index]) for output in more)])
    return outputs


def _can_win(query: DecoderQuery, best: float, prompts: Prompts) -> bool:
    """Whether an output of this query could be trusted more than the best output so far."""
    return best < (1.0 if len(prompts.boxes) else _level_trust(query.crop))


def _level_trust(crop: Crop) -> float:
    """Trust in what is decoded on the level of a crop, relative to the finest."""
    return float(COARSER_TRUST ** max(-np.log2(crop.scale), 0))


def _prompted(
    outputs: Sequence[DecoderOutput], prompts: Prompts, shape: tuple[int, int]
) -> Prediction:
    drawn = distinct_masks(outputs, prompts, shape)
    first, *further = [trust(output, prompts) for output, _ in drawn]
    return prediction_of(drawn, [max([first, *further]), *further])


def _mean_output(outputs: Sequence[DecoderOutput]) -> DecoderOutput:
    """Average outputs of several scales on the finest, which draws outlines best and counts most.

    What they agree on is seldom wrong.
    """
    finest = max(outputs, key=lambda output: output.crop.scale)
    best = max(outputs, key=lambda output: output.score)
    weights = [FINER_WEIGHT if output is finest else 1.0 for output in outputs]
    by_scale = [output.logits_on(finest.crop) for output in outputs]
    logits = np.average(by_scale, axis=0, weights=weights)
    return replace(best, crop=finest.crop, logits=logits.astype(np.float32))


def _box_iou(box: NDArray[np.float64], with_box: NDArray[np.float64]) -> float:
    """Intersection over union of two boxes (4,); 0 if either encloses nothing."""
    sides = np.minimum(box[2:], with_box[2:]) - np.maximum(box[:2], with_box[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = float(np.prod(box[2:] - box[:2]) + np.prod(with_box[2:] - with_box[:2]))
    return shared / (areas - shared) if shared > 0 else 0.0


def _corrected_logits(output: DecoderOutput, prompts: Prompts) -> NDArray[np.float32]:
    """Raise or lower the logits (56, 56) smoothly around clicks on the wrong side of the mask."""
    logits = output.logits
    signs = np.where(prompts.positive, 1.0, -1.0)
    values = output.logits_at(prompts.points)
    for point, sign, value in zip(prompts.points, signs, values, strict=True):
        if value * sign > 0 or value <= OUTSIDE:
            continue
        row, col = output.crop.points(point[None])[0]
        squared = (CELL_CENTRES[:, None] - row) ** 2 + (CELL_CENTRES - col) ** 2
        bump = np.exp(-squared / (2 * CORRECTION_RADIUS**2))
        logits = logits + ((CORRECTED_LOGIT * sign - value) * bump).astype(np.float32)
    return logits


def _clicked_pixels(
    prompts: Prompts, slices: tuple[slice, slice], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the clicked pixels (N, 2) of a part of the image, and which of them are positive."""
    pixels = np.clip(np.floor(prompts.points + 0.5), 0, np.array(shape) - 1).astype(np.int64)
    start = np.array([part.start for part in slices])
    stop = np.array([part.stop for part in slices])
    is_inside = ((pixels >= start) & (pixels < stop)).all(1)
    return (pixels - start)[is_inside], prompts.positive[is_inside]


def _inside_boxes(prompts: Prompts, slices: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return where a mask may be: in any of the boxes, or everywhere without boxes."""
    boxes = [_inside_box(box, slices) for box in prompts.boxes]
    return np.any(boxes, axis=0) if boxes else np.ones(1, bool)


def _inside_box(box: NDArray[np.float64], slices: tuple[slice, slice]) -> NDArray[np.bool_]:
    rows, cols = (np.arange(part.start, part.stop) for part in slices)
    row0, col0, row1, col1 = box
    in_rows, in_cols = (rows >= row0) & (rows <= row1), (cols >= col0) & (cols <= col1)
    return np.asarray(in_rows[:, None] & in_cols)


def _regions(prompts: Prompts, slices: tuple[slice, slice]) -> list[NDArray[np.bool_]]:
    """Return the regions of a part of the image each of which holds a part of the object."""
    if prompts.mask is not None:
        return [prompts.mask[slices]]
    if len(prompts.boxes):
        return [_inside_box(box, slices) for box in prompts.boxes]
    return [np.ones(1, bool)]


def _connected(
    mask: NDArray[np.bool_], clicks: NDArray[np.int64], regions: Sequence[NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Keep the components that were clicked; without clicks, the largest one in each region."""
    components, count = ndimage.label(mask)
    is_kept = np.zeros(count + 1, bool)
    is_kept[components[tuple(clicks.T)]] = True
    for region in [] if len(clicks) else regions:
        is_kept[np.bincount(components[region & mask], minlength=2).argmax()] = True
    is_kept[0] = False
    return np.asarray(is_kept[components])


def _fill_holes(mask: NDArray[np.bool_], largest: float, clicks: NDArray[np.int64]) -> None:
    """Fill small holes, in place, but none that was clicked."""
    holes, count = ndimage.label(~mask)
    is_small = np.bincount(holes.ravel(), minlength=count + 1) <= largest
    rim = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]) if mask.size else 0
    is_small[rim] = False
    is_small[holes[tuple(clicks.T)]] = False
    is_small[0] = False
    mask |= is_small[holes]

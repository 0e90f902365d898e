"""Detection by exemplars: all objects that are similar to those in boxes.

The objects of an image are proposed as masks, described by an appearance descriptor each, and
scored by their similarity to the exemplars.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

from ....values import (
    Appearance,
    Candidates,
    Concept,
    Corners,
    Exemplar,
    Mask,
    Prompts,
    boxes_of,
    exemplars_of,
)
from ...selection import neighbours
from .automatic_mask_generation import PeakThresholds, level_masks
from .decoder_queries import decode_objects
from .feature_pyramid import Crop, FeaturePyramid
from .multimask_output import draw_mask, predict_prompted
from .network import FINE_STRIDE, Network
from .prompt_encoder import TYPICAL_SIZE, query_on

ZOOMED_LENGTH = 30.0
"""Objects up to this length are also detected on the finest scale, in pixels of the image."""
DUPLICATE_IOU = 0.7
"""Masks with such an intersection over union, or a larger one, are the same object."""
RECOGNISED_IOU = 0.5
"""A proposal that overlaps an exemplar so much, or more, shows the same object."""
LOWEST_SCORE = 0.02
"""Candidates of a lower score are not kept."""
EXEMPLAR_SCORES = (0.99, 0.02)
"""Scores of the objects in the boxes themselves: of positive and of negative exemplars."""

FAINT_PEAKS = PeakThresholds(rise=0.15, height=0.2)
"""Centres of objects that the dense head is not sure of, and of the parts of objects."""
NEARBY_SCALES = 2.5
"""Levels on which the size is up to so many times the typical size are searched, or less."""
AREA_FACTOR = 5.0
"""Masks of so many times the area, and larger ones, are not proposed; nor so many times less."""
SMALLEST_CLICKED = 0.1
"""What is smaller than this share of the area is not clicked."""
CLICK_DISTANCE = 0.6
"""Clicks are farther apart than this share of the radius."""
LEAST_AGREEMENT = 0.3
"""A smaller intersection over union of two masks says nothing."""

# Weights in units of log odds, rounded from a logistic regression on the development images of
# `docs/embedded-model.md`; the similarity of two objects counts a little more than it did there.
FEATURE_WEIGHT = 2.0
"""Of the cosine between features."""
BRIGHTNESS_WEIGHT = 0.9
"""Of a difference in colour of one standard deviation of the image."""
AREA_WEIGHT = 1.1
"""Of the square of the difference between the logarithms of the areas."""
SHAPE_WEIGHT = 0.5
"""Of the difference between the logarithms of the elongations."""
LARGEST_DIFFERENCES = (3.0, 1.6, 1.5)
"""Differences in colour, area and shape do not count as more than this."""
SCORE_WEIGHT = 0.6
"""Of the log odds that the network itself gives to a mask."""
AGREEMENT_WEIGHT = 6.0
"""Of the network's score where a mask proposed the other way is the same."""
PRIOR = -3.5
"""Where there is nothing of all that."""
CONTRAST_WEIGHT = 3.0
"""Of being more similar to positive than to negative exemplars; a candidate needs both."""
RECOGNISED_ODDS = 4.0
"""An exemplar is itself recognised with at least such log odds, as a rule."""
LARGEST_LENIENCY = 1.0
"""Where it is not, so much at most is added to the log odds of all candidates."""
SCORE_RANGE = (0.02, 0.98)
"""No mask counts as less or more sure."""


def detect_similar(network: Network, pyramid: FeaturePyramid, concept: Concept) -> Candidates:
    """Return the objects of an image that are similar to the exemplars of a concept."""
    kinds = (concept.exemplars, concept.negatives)
    boxed = [[mask_in_box(network, pyramid, box) for box in boxes_of(kind)] for kind in kinds]
    known = [list(map(Descriptor.of, _appearances(kind))) for kind in kinds]
    size = _typical_size(boxed[0], known[0])
    levels = _levels_for(network, pyramid, size)
    encoder = DescriptorEncoder(levels, _scale_for(levels, size))
    positives, negatives = (
        (*map(encoder.describe, masks), *descriptors)
        for masks, descriptors in zip(boxed, known, strict=True)
    )
    proposals = propose(network, levels, size)
    reference = ExemplarDescriptors(positives, negatives)
    scores = _similarity_scores(reference, encoder, proposals, boxed[0])
    scored = [
        replace(proposal.mask, score=float(score))
        for proposal, score in zip(proposals, scores, strict=True)
    ]
    shown = [
        replace(mask, score=score)
        for score, masks in zip(EXEMPLAR_SCORES, boxed, strict=True)
        for mask in masks
    ]
    return Candidates.of(suppress_duplicates(shown, scored), pyramid.shape)


def describe_exemplar(network: Network, pyramid: FeaturePyramid, box: Corners) -> Appearance:
    """Return the appearance descriptor of the object in a box of an image."""
    mask = mask_in_box(network, pyramid, box)
    size = ObjectSize(float(max(mask.crop.shape)), mask.area)
    levels = _levels_for(network, pyramid, size)
    return DescriptorEncoder(levels, _scale_for(levels, size)).describe(mask).appearance()


def mask_in_box(network: Network, pyramid: FeaturePyramid, box: Corners) -> Mask:
    """Segment the object in a box; the box is filled where the network sees none in it."""
    prediction = predict_prompted(network, pyramid, [Prompts(boxes=[box])], [None])[0]
    pixels = np.array(prediction.pixels)
    if not pixels.any():
        corners = np.sort(np.reshape(box, (2, 2)), axis=0)
        last = np.array(pixels.shape) - 1
        (top, left), (bottom, right) = np.ceil(corners).clip(0, last).astype(int)
        pixels[top : bottom + 1, left : right + 1] = True
    return Mask.of(pixels).trimmed()


def _appearances(kind: Sequence[Corners | Exemplar]) -> list[Appearance]:
    return [exemplar.appearance for exemplar in exemplars_of(kind)]


@dataclass(frozen=True, slots=True)
class ObjectSize:
    """How large the objects are that are detected."""

    length: float  # longer side of the box around an object, in pixels of the image
    area: float  # in pixels of the image

    def allows(self, area: float) -> bool:
        """Tell whether an object of this area may be one of them."""
        return self.area / AREA_FACTOR <= area <= self.area * AREA_FACTOR


def _typical_size(masks: Sequence[Mask], descriptors: Sequence[Descriptor]) -> ObjectSize:
    """Return the median size of exemplars."""
    lengths = [*(max(mask.crop.shape) for mask in masks), *(known.length for known in descriptors)]
    areas = [*(mask.area for mask in masks), *(np.exp(known.area) for known in descriptors)]
    return ObjectSize(float(np.median(lengths)), float(np.median(areas)))


def _levels_for(network: Network, pyramid: FeaturePyramid, size: ObjectSize) -> FeaturePyramid:
    """Return a pyramid with all levels on which objects of this size are seen."""
    return pyramid.with_zoom(network) if size.length <= ZOOMED_LENGTH else pyramid


def _scale_for(pyramid: FeaturePyramid, size: ObjectSize) -> float:
    """Return the scale on which objects of this size are seen best."""
    return pyramid.fitting_scale(size.length, TYPICAL_SIZE)


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """One mask that may be an object, and how much speaks for it."""

    mask: Mask  # its score is the network's own, 0..1
    is_clicked: bool  # whether it is decoded from a click, or made of the dense head
    agreement: float = 0.0  # highest intersection over union with a mask proposed the other way


def propose(network: Network, pyramid: FeaturePyramid, size: ObjectSize) -> list[Proposal]:
    """Propose masks in two ways, each of which tells how far the other can be trusted.

    The dense head outlines what has a centre, on all levels near the best one. Then a click on
    each of these, also the faint ones, is decoded on the best level. ``pyramid`` has a level of
    every scale that is near.
    """
    scale = _scale_for(pyramid, size)
    levels = [
        level for level in pyramid.levels if 1 / NEARBY_SCALES < level.scale / scale < NEARBY_SCALES
    ]
    clear = [mask for level in levels for mask in level_masks(level, pyramid.shape)]
    faint = [mask for level in levels for mask in level_masks(level, pyramid.shape, FAINT_PEAKS)]
    clicked = _clicked_masks(network, pyramid, _clicks_on(faint, size), scale, size)
    outlined = [mask for mask in (*clear, *faint) if size.allows(mask.area)]
    return with_agreement(outlined, clicked)


def with_agreement(outlined: Sequence[Mask], clicked: Sequence[Mask]) -> list[Proposal]:
    """Return all masks, each with how well a mask that was proposed the other way agrees."""
    masks = [*outlined, *clicked]
    agreement = np.zeros(len(masks))
    for first, second, iou in overlapping_pairs(masks, LEAST_AGREEMENT):
        if (first < len(outlined)) != (second < len(outlined)):
            pair = [first, second]
            agreement[pair] = np.maximum(agreement[pair], iou)
    return [Proposal(mask, n >= len(outlined), float(agreement[n])) for n, mask in enumerate(masks)]


def overlapping_pairs(masks: Sequence[Mask], least_iou: float) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of masks and their intersection over union, of at least so much."""
    boxes = np.array([mask.box for mask in masks], np.int64).reshape(-1, 4)
    areas = np.array([mask.area for mask in masks])
    for first, beside in enumerate(neighbours(boxes)):
        later = beside[beside > first]
        start = np.maximum(boxes[first, :2], boxes[later, :2])
        stop = np.minimum(boxes[first, 2:], boxes[later, 2:])
        most = np.minimum((stop - start).prod(1), np.minimum(areas[first], areas[later]))
        may_overlap = most >= least_iou * (areas[first] + areas[later] - most)
        for second in later[may_overlap].tolist():
            iou = masks[first].iou(masks[second])
            if iou >= least_iou:
                yield first, second, iou


def _clicks_on(masks: Sequence[Mask], size: ObjectSize) -> NDArray[np.float64]:
    """Return where to click, (N, 2): inside masks, the surest of those that are near."""
    distance = CLICK_DISTANCE * np.sqrt(size.area / np.pi)
    clicks = np.zeros((0, 2))
    for mask in sorted(masks, key=lambda mask: -mask.score):
        if mask.area < SMALLEST_CLICKED * size.area:
            continue
        click = np.add(innermost(mask.crop), mask.box[:2])
        if not len(clicks) or ((clicks - click) ** 2).sum(1).min() > distance**2:
            clicks = np.vstack([clicks, click])
    return clicks


def innermost(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the pixel of a mask, (h, w), that is farthest from its border."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    return int(row), int(col)


def _clicked_masks(
    network: Network,
    pyramid: FeaturePyramid,
    clicks: NDArray[np.float64],
    scale: float,
    size: ObjectSize,
) -> list[Mask]:
    prompts = [Prompts(points=[click]) for click in clicks]
    queries = [
        [query_on(own, Crop.around(float(row), float(col), scale))]
        for own, (row, col) in zip(prompts, clicks, strict=True)
    ]
    masks = [
        draw_mask(output, own, pyramid.shape).trimmed()
        for own, outputs in zip(prompts, decode_objects(network, pyramid, queries), strict=True)
        for output in outputs
        if size.allows(output.size**2)
    ]
    return [mask for mask in masks if size.allows(mask.area)]


@dataclass(frozen=True, slots=True, eq=False)
class Descriptor:
    """The appearance of one object, as it is compared to objects of this image or another."""

    features: NDArray[np.float32]  # (32,) mean inside, in standard deviations of its image
    colour: NDArray[np.float32]  # (3,) mean inside, in standard deviations of its image
    area: float  # logarithm of the number of pixels
    elongation: float  # logarithm of length over width
    length: float  # longer side of the box around it, in pixels of the image

    def similarity(self, descriptor: Descriptor) -> float:
        """Return how similar two objects are, as log odds: at most 2, far below 0 if unlike."""
        norms = float(np.linalg.norm(self.features) * np.linalg.norm(descriptor.features))
        cosine = float(self.features @ descriptor.features) / (norms + 1e-6)
        most_colour, most_area, most_shape = LARGEST_DIFFERENCES
        colour = min(float(np.abs(self.colour - descriptor.colour).mean()), most_colour)
        area = min(abs(self.area - descriptor.area), most_area)
        shape = min(abs(self.elongation - descriptor.elongation), most_shape)
        return (
            FEATURE_WEIGHT * cosine
            - BRIGHTNESS_WEIGHT * colour
            - AREA_WEIGHT * area**2
            - SHAPE_WEIGHT * shape
        )

    def appearance(self) -> Appearance:
        """Return it as named arrays."""
        size = np.array([self.area, self.elongation, self.length], np.float32)
        return {"features": self.features, "colour": self.colour, "size": size}

    @classmethod
    def of(cls, appearance: Appearance) -> Self:
        """Return the descriptor that `appearance` made named arrays of."""
        area, elongation, length = appearance["size"].tolist()
        return cls(appearance["features"], appearance["colour"], area, elongation, length)


class DescriptorEncoder:
    """Describes the objects of one image by the features of one level."""

    def __init__(self, pyramid: FeaturePyramid, scale: float) -> None:
        level = next(level for level in pyramid.levels if level.scale == scale)
        self._cell = FINE_STRIDE / scale
        self._features = _standardised(level.fine.float().cpu().numpy())
        self._colours = _standardised(pyramid.image.float().cpu().numpy())

    def describe(self, mask: Mask) -> Descriptor:
        """Return the descriptor of a mask, which is not empty."""
        weights, cells = self._cell_weights(mask)
        inside = self._features[:, cells[0], cells[1]]
        features = (inside * weights).sum((1, 2)) / (weights.sum() + 1e-6)
        colour = self._colours[:, *mask.box.slices][:, mask.crop].mean(1)
        area, length = float(np.log(mask.area)), float(max(mask.crop.shape))
        return Descriptor(features, colour, area, _elongation(mask.crop), length)

    def _cell_weights(self, mask: Mask) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
        """Return the share of each cell inside a mask, and rows and columns of these cells."""
        if self._cell < 1:
            repeat = round(1 / self._cell)
            fine = mask.crop.repeat(repeat, 0).repeat(repeat, 1).astype(np.float32)
            rows, cols = (slice(p.start * repeat, p.stop * repeat) for p in mask.box.slices)
            return fine, (rows, cols)
        cell = round(self._cell)
        rows, cols = (slice(p.start // cell, -(-p.stop // cell)) for p in mask.box.slices)
        top, left = mask.box.top - rows.start * cell, mask.box.left - cols.start * cell
        height, width = mask.crop.shape
        pixels = np.zeros(((rows.stop - rows.start) * cell, (cols.stop - cols.start) * cell))
        pixels[top : top + height, left : left + width] = mask.crop
        blocks = pixels.reshape(rows.stop - rows.start, cell, -1, cell)
        return blocks.mean((1, 3), dtype=np.float32), (rows, cols)


def _standardised(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give channels, (C, h, w), a mean of 0 and a standard deviation of 1 each."""
    mean = channels.mean((1, 2), keepdims=True)
    deviation = channels.std((1, 2), keepdims=True)
    return np.asarray((channels - mean) / (deviation + 1e-3), np.float32)


def _elongation(mask: NDArray[np.bool_]) -> float:
    """Return the logarithm of the length of a mask, (h, w), over its width."""
    points = np.argwhere(mask).astype(np.float64)
    covariance = np.eye(2) / 12  # of a single pixel
    if len(points) > 1:
        covariance = covariance + np.cov(points.T)
    small, large = np.linalg.eigvalsh(covariance)
    return float(np.log(large / small) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class ExemplarDescriptors:
    """The descriptors that candidates are compared to."""

    positives: tuple[Descriptor, ...]  # at least one
    negatives: tuple[Descriptor, ...]

    def odds(self, descriptor: Descriptor, proposal: Proposal) -> float:
        """Return the log odds of a proposal with this descriptor being similar to a positive."""
        score = proposal.mask.score
        similarity = max(descriptor.similarity(positive) for positive in self.positives)
        of_score = SCORE_WEIGHT * float(logit(np.clip(score, *SCORE_RANGE)))
        drawn = of_score + AGREEMENT_WEIGHT * score * proposal.agreement
        return PRIOR + similarity + drawn

    def limit(self, descriptor: Descriptor) -> float:
        """Return the log odds of being similar to a positive rather than to a negative."""
        if not self.negatives:
            return inf
        similarity = max(descriptor.similarity(positive) for positive in self.positives)
        unwanted = max(descriptor.similarity(negative) for negative in self.negatives)
        return CONTRAST_WEIGHT * (similarity - unwanted)


def _similarity_scores(
    reference: ExemplarDescriptors,
    encoder: DescriptorEncoder,
    proposals: Sequence[Proposal],
    boxed: Sequence[Mask],
) -> NDArray[np.float64]:
    """Return the scores of N proposals, (N,) in 0..1; ``boxed`` are positives on the image."""
    descriptors = [encoder.describe(proposal.mask) for proposal in proposals]
    pairs = zip(descriptors, proposals, strict=True)
    odds = np.array([reference.odds(descriptor, proposal) for descriptor, proposal in pairs])
    odds = odds + leniency(boxed, proposals, odds)
    limits = [reference.limit(descriptor) for descriptor in descriptors]
    return np.asarray(expit(np.minimum(odds, limits)), np.float64)


def leniency(
    boxed: Sequence[Mask], proposals: Sequence[Proposal], odds: NDArray[np.float64]
) -> float:
    """Return what is added to all log odds where even the exemplars are hardly recognised.

    Parameters
    ----------
    boxed : sequence of Mask
        The positive exemplars on the image.
    proposals : N proposals
    odds : (N,) float64
        Log odds of the proposals.
    """
    if not boxed:
        return LARGEST_LENIENCY / 2
    recognised = [
        max(
            (
                float(value)
                for value, proposal in zip(odds, proposals, strict=True)
                if mask.iou(proposal.mask) >= RECOGNISED_IOU
            ),
            default=-inf,
        )
        for mask in boxed
    ]
    return float(np.clip(RECOGNISED_ODDS - np.median(recognised), 0, LARGEST_LENIENCY))


def suppress_duplicates(boxed: Sequence[Mask], detected: Sequence[Mask]) -> list[Mask]:
    """Return all masks but the least similar ones and duplicates of exemplars or better ones."""
    best_first = sorted(detected, key=lambda mask: -mask.score)
    masks = [*boxed, *(mask for mask in best_first if mask.score >= LOWEST_SCORE)]
    duplicates: set[int] = set()
    for first, second, _ in overlapping_pairs(masks, DUPLICATE_IOU):
        if first not in duplicates:
            duplicates.add(second)
    kept = [mask for n, mask in enumerate(masks) if n not in duplicates]
    return sorted(kept, key=lambda mask: -mask.score)

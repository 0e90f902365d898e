"""Samples for the propagation stage: views of frame triplets, and objects to propagate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .annotator import rough_copy
from .augmentation import augmented
from .label_images import Labels, Pixels, distance_inside
from .prompt_samples import (
    MAX_SIDE,
    VIEW,
    RandomBatches,
    crop_mask,
    draw_origin,
    is_visible,
    random_cut,
    read_entry,
)
from .shards import SIZE, Triplet
from .synthetic.appearance import RgbImage

NESTED_SHARE = 0.35
"""Share of the views with nuclei inside cells on which the nuclei are propagated."""
MIN_AREA = 12
"""Objects of fewer pixels are not propagated."""
LEAVING_SHARE = 0.3
"""How often an object is drawn that is gone on the current frame, where there are any."""
OFFSET_SHARE = 0.3
"""Share of the objects that are outlined farther out or in than their labels."""
OFFSETS = (-0.15, 0.4)
"""How much farther out, in radii of the object."""
MAX_PATH = 22.0
"""Pixels that an object moves at most to be propagated from the first to the previous frame."""


@dataclass(frozen=True, slots=True, eq=False)
class TripletView:
    """A square cut from three frames, turned, resized and augmented."""

    images: tuple[RgbImage, ...]  # each (3, 192, 192)
    labels: tuple[Labels, ...]  # each (192, 192)
    is_inner: bool = False  # whether the labels are nuclei or organelles inside of cells


@dataclass(frozen=True, slots=True, eq=False)
class PropagationSample:
    """An object, outlined on the first frame."""

    origins: tuple[tuple[int, int], tuple[int, int]]
    """Corners of the crops around it on the first and on the previous frame."""
    first_mask: Pixels
    """(112, 112) on the first crop, as an annotator draws it."""
    previous_mask: Pixels
    """(112, 112) a rough copy of its mask on the previous frame, on the second crop."""
    targets: tuple[Pixels, Pixels]
    """(112, 112) the object on the previous frame, on the first crop, and now, on the second."""
    is_near: bool
    """Whether the crop around its first mask shows it on the previous frame, too."""


def draw_view(rng: np.random.Generator, triplet: Triplet) -> TripletView:
    """Cut a random view out of three frames."""
    frames = random_cut(rng, triplet)
    images = augmented(rng, [frame[:3] / np.float32(255) for frame in frames])
    inner = rng.random() < NESTED_SHARE and frames[:2, 4].any((1, 2)).all()
    return _view(frames, images, 4 if inner else 3)


def fixed_view(triplet: Triplet) -> TripletView:
    """Cut the middle out of three frames, as it is."""
    margin = (SIZE - VIEW) // 2
    frames = triplet[:, :, margin : margin + VIEW, margin : margin + VIEW]
    return _view(frames, [frame[:3] / np.float32(255) for frame in frames])


def _view(frames: Triplet, images: Sequence[RgbImage], plane: int = 3) -> TripletView:
    labels = tuple(frame[plane].astype(np.int32) for frame in frames)
    return TripletView(tuple(images), labels, is_inner=plane == 4)


def draw_propagation_samples(
    rng: np.random.Generator, view: TripletView, count: int
) -> list[PropagationSample]:
    """Draw objects of a view, some twice if there are few; none if none fits."""
    samples: list[PropagationSample] = []
    for _ in range(4 * count):
        sample = _draw(rng, view)
        if sample is not None:
            samples.append(sample)
        if len(samples) == count:
            return samples
    return [samples[rng.integers(len(samples))] for _ in range(count)] if samples else []


def _draw(rng: np.random.Generator, view: TripletView) -> PropagationSample | None:
    """Draw an object; None if it does not fit."""
    first, previous, current = view.labels
    known = np.intersect1d(first[first > 0], previous)
    leaving = np.setdiff1d(known, current)
    candidates = leaving if len(leaving) and rng.random() < LEAVING_SHARE else known
    if not len(candidates):
        return None
    number = int(candidates[rng.integers(len(candidates))])
    masks = [labels == number for labels in (first, previous, current)]
    if rng.random() < OFFSET_SHARE:
        masks = _offset_masks(rng, masks, view.labels)
    if max(map(np.ptp, np.nonzero(masks[0]))) >= MAX_SIDE:
        return None
    if masks[0].sum() < MIN_AREA or masks[1].sum() < MIN_AREA // 2:
        return None
    if view.is_inner and not all(map(is_visible, view.images[:2], masks[:2])):
        return None
    middles = [_middle(mask) for mask in masks[:2]]
    origins = [draw_origin(rng, middle) for middle in middles]
    first_mask, previous_on_first = crop_mask(masks[0], origins[0]), crop_mask(masks[1], origins[0])
    previous_mask, target = crop_mask(masks[1], origins[1]), crop_mask(masks[2], origins[1])
    if first_mask.sum() < 10 or previous_mask.sum() < 6 or (target.sum() < 6 and masks[2].any()):
        return None
    path = np.abs(np.subtract(middles[0], middles[1])).max()
    is_near = bool(path < MAX_PATH and previous_on_first.any())
    return PropagationSample(
        (origins[0], origins[1]),
        rough_copy(rng, first_mask, rng.choice((0, 0.15, 0.3))),
        rough_copy(rng, previous_mask, rng.choice((0, 0.3, 0.6))),
        (previous_on_first, target),
        is_near,
    )


def _offset_masks(
    rng: np.random.Generator, masks: Sequence[Pixels], labels: Sequence[Labels]
) -> list[Pixels]:
    """Outline an object farther out on all frames, as with a halo, or farther in."""
    margin = rng.uniform(*OFFSETS) * np.sqrt(masks[0].sum() / np.pi)
    if margin > 0:
        return [
            (distance_inside(~mask) <= margin) & ((plane == 0) | mask) if mask.any() else mask
            for mask, plane in zip(masks, labels, strict=True)
        ]
    shrunk = [distance_inside(mask) > -margin for mask in masks]
    return shrunk if shrunk[0].any() and shrunk[1].any() else list(masks)


def _middle(mask: Pixels) -> tuple[float, float]:
    rows, cols = np.nonzero(mask)
    return (rows.min() + rows.max()) / 2, (cols.min() + cols.max()) / 2


@dataclass(frozen=True, slots=True, eq=False)
class PropagationBatch:
    """Views and, for each, the same number of objects to propagate."""

    frames: npt.NDArray[np.float32]
    """(3, B, 3, 192, 192) the first, the previous and the current frames."""
    samples: list[PropagationSample]
    """B * K, view by view."""


class PropagationBatches(RandomBatches[PropagationBatch]):
    """Batches of views with objects to propagate."""

    def batch(
        self, rng: np.random.Generator, real: Sequence[Path], synthetic: Sequence[Path]
    ) -> PropagationBatch:
        """Draw a batch."""
        drawn: list[tuple[TripletView, list[PropagationSample]]] = []
        while len(drawn) < self.mixture.views:
            triplet = read_entry(rng, self.choose_shards(rng, real, synthetic))
            view = draw_view(rng, triplet)
            samples = draw_propagation_samples(rng, view, self.mixture.samples)
            if samples:
                drawn.append((view, samples))
        return collate(drawn)


def collate(drawn: Sequence[tuple[TripletView, list[PropagationSample]]]) -> PropagationBatch:
    """Put views into a batch."""
    frames = np.stack([np.stack(view.images) for view, _ in drawn], axis=1)
    return PropagationBatch(frames, [sample for _, samples in drawn for sample in samples])


def validation_propagation_batches(
    folder: Path, views: int, samples: int
) -> Iterator[PropagationBatch]:
    """Read fixed batches from the validation shards of a folder."""
    rng = np.random.default_rng(0)
    for path in sorted(folder.glob("validation-*.npy")):
        triplets = np.load(path, mmap_mode="r")
        fixed = map(fixed_view, triplets)
        drawn = [(view, draw_propagation_samples(rng, view, samples)) for view in fixed]
        drawn = [(view, own) for view, own in drawn if own]
        for start in range(0, len(drawn), views):
            yield collate(drawn[start : start + views])

"""What a follower is asked in training: views of three frames, and objects to follow on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .annotator import Mask, rough_copy
from .augmentation import augmented
from .label_images import distance_inside
from .prompt_samples import (
    LONGEST,
    VIEW,
    Planes,
    RandomBatches,
    crop_of,
    cut_out,
    draw_from,
    origin_at,
    shows,
)
from .shards import SIZE
from .synthetic.appearance import Picture
from .triplets import Triplet

INNER = 0.35
"""Share of the views with nuclei inside cells on which the nuclei are followed."""
SMALLEST = 12
"""Objects of fewer pixels are not followed."""
LEAVING = 0.3
"""How often one is chosen that is gone on the present frame, where there are any."""
REDRAWN = 0.3
"""Share of the objects whose outlines follow another habit than their labels."""
HABITS = (-0.15, 0.4)
"""How much farther out such outlines may lie, in radii of the object."""
NEAR = 22.0
"""Objects that move farther than this between the first frame and the one before are not asked
about there, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A square cut from three frames, turned, zoomed and exposed."""

    pictures: tuple[Picture, ...]  # each (3, 192, 192)
    labels: tuple[Planes, ...]  # each (192, 192)
    is_inner: bool = False  # whether they are nuclei, or what else lies inside of cells


@dataclass(frozen=True, slots=True, eq=False)
class PropagatedObject:
    """One object, outlined on the first frame."""

    origins: tuple[tuple[int, int], tuple[int, int]]
    """Corners of the crops around it on the first frame and on the one before."""
    outlined: Mask
    """(112, 112) on the first crop, as the user drew it."""
    before: Mask
    """(112, 112) a copy of what it is on the frame before, on the second crop."""
    targets: tuple[Mask, Mask]
    """(112, 112) the object on the frame before, on the first crop; and now, on the second."""
    is_near: bool
    """Whether it can be found on the frame before from where it was on the first."""


def draw_view(rng: np.random.Generator, triplet: Triplet) -> View:
    """Cut a random view out of three frames."""
    frames = cut_out(rng, triplet)
    pictures = augmented(rng, [frame[:3] / np.float32(255) for frame in frames])
    inner = rng.random() < INNER and frames[:2, 4].any((1, 2)).all()
    return _view(frames, pictures, 4 if inner else 3)


def fixed_view(triplet: Triplet) -> View:
    """Cut the middle out of three frames, as it is."""
    margin = (SIZE - VIEW) // 2
    frames = triplet[:, :, margin : margin + VIEW, margin : margin + VIEW]
    return _view(frames, [frame[:3] / np.float32(255) for frame in frames])


def _view(frames: Triplet, pictures: Sequence[Picture], plane: int = 3) -> View:
    labels = tuple(frame[plane].astype(np.int32) for frame in frames)
    return View(tuple(pictures), labels, is_inner=plane == 4)


def draw_propagated(rng: np.random.Generator, view: View, count: int) -> list[PropagatedObject]:
    """Draw objects of a view, some twice if there are few; none if there are none."""
    found: list[PropagatedObject] = []
    for _ in range(4 * count):
        sample = _draw(rng, view)
        if sample is not None:
            found.append(sample)
        if len(found) == count:
            return found
    return [found[rng.integers(len(found))] for _ in range(count)] if found else []


def _draw(rng: np.random.Generator, view: View) -> PropagatedObject | None:
    """Choose an object; None when the choice was a poor one."""
    first, before, now = view.labels
    known = np.intersect1d(first[first > 0], before)
    leaving = np.setdiff1d(known, now)
    chosen = leaving if len(leaving) and rng.random() < LEAVING else known
    if not len(chosen):
        return None
    number = int(chosen[rng.integers(len(chosen))])
    masks = [labels == number for labels in (first, before, now)]
    if rng.random() < REDRAWN:
        masks = _redrawn(rng, masks, view.labels)
    if max(map(np.ptp, np.nonzero(masks[0]))) >= LONGEST:
        return None
    if masks[0].sum() < SMALLEST or masks[1].sum() < SMALLEST // 2:
        return None
    if view.is_inner and not all(map(shows, view.pictures[:2], masks[:2])):
        return None
    middles = [_middle(mask) for mask in masks[:2]]
    origins = [origin_at(rng, middle) for middle in middles]
    outlined, before_there = crop_of(masks[0], origins[0]), crop_of(masks[1], origins[0])
    before_here, target = crop_of(masks[1], origins[1]), crop_of(masks[2], origins[1])
    if outlined.sum() < 10 or before_here.sum() < 6 or (target.sum() < 6 and masks[2].any()):
        return None
    path = np.abs(np.subtract(middles[0], middles[1])).max()
    is_near = bool(path < NEAR and before_there.any())
    return PropagatedObject(
        (origins[0], origins[1]),
        rough_copy(rng, outlined, rng.choice((0, 0.15, 0.3))),
        rough_copy(rng, before_here, rng.choice((0, 0.3, 0.6))),
        (before_there, target),
        is_near,
    )


def _redrawn(
    rng: np.random.Generator, masks: Sequence[Mask], labels: Sequence[Planes]
) -> list[Mask]:
    """Outline an object farther out on all frames, as with a halo, or farther in."""
    margin = rng.uniform(*HABITS) * np.sqrt(masks[0].sum() / np.pi)
    if margin > 0:
        return [
            (distance_inside(~mask) <= margin) & ((plane == 0) | mask) if mask.any() else mask
            for mask, plane in zip(masks, labels, strict=True)
        ]
    shrunk = [distance_inside(mask) > -margin for mask in masks]
    return shrunk if shrunk[0].any() and shrunk[1].any() else list(masks)


def _middle(mask: Mask) -> tuple[float, float]:
    rows, cols = np.nonzero(mask)
    return (rows.min() + rows.max()) / 2, (cols.min() + cols.max()) / 2


@dataclass(frozen=True, slots=True, eq=False)
class PropagationBatch:
    """Views and, for each, the same number of objects to follow."""

    frames: npt.NDArray[np.float32]
    """(3, B, 3, 192, 192) the first frames, those before, and the present ones."""
    samples: list[PropagatedObject]
    """B * K, view by view."""


class PropagationBatches(RandomBatches[PropagationBatch]):
    """Endless random batches; new shards are found as they appear."""

    def batch(
        self, rng: np.random.Generator, real: Sequence[Path], made: Sequence[Path]
    ) -> PropagationBatch:
        """Draw one."""
        drawn: list[tuple[View, list[PropagatedObject]]] = []
        while len(drawn) < self.mixture.views:
            triplet = draw_from(rng, self.wanted(rng, real, made))
            view = draw_view(rng, triplet)
            samples = draw_propagated(rng, view, self.mixture.samples)
            if samples:
                drawn.append((view, samples))
        return assembled(drawn)


def assembled(drawn: Sequence[tuple[View, list[PropagatedObject]]]) -> PropagationBatch:
    """Put views into one batch."""
    frames = np.stack([np.stack(view.pictures) for view, _ in drawn], axis=1)
    return PropagationBatch(frames, [sample for _, samples in drawn for sample in samples])


def validation_propagation_batches(
    folder: Path, views: int, samples: int
) -> Iterator[PropagationBatch]:
    """Read fixed batches from the validation shards of a folder."""
    rng = np.random.default_rng(0)
    for path in sorted(folder.glob("validation-*.npy")):
        triplets = np.load(path, mmap_mode="r")
        drawn = [(view, draw_propagated(rng, view, samples)) for view in map(fixed_view, triplets)]
        drawn = [(view, found) for view, found in drawn if found]
        for start in range(0, len(drawn), views):
            yield assembled(drawn[start : start + views])

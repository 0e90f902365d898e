"""Training samples: views of frame pairs with objects and the prompts that ask for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from torch.utils.data import IterableDataset, get_worker_info

from ..engine.backends.embedded import decoder_queries
from ..engine.backends.embedded.decoder_queries import Maps
from ..engine.backends.embedded.network import COARSE_STRIDE, CROP
from .annotator import Mask, click_inside, rough_copy
from .augmentation import augmented
from .shards import SIZE, Pair
from .synthetic.appearance import Picture

VIEW = 192
"""Side of the square that is cut from a shard's pictures."""
LONGEST = 100
"""Longest side of an object that is asked for, in pixels."""
ZOOMED = 0.5
"""Share of the views that are shown at another scale than they were made for."""
CLOSEST = 0.42
"""Side of the smallest cut that is enlarged to a view, relative to the view."""

REDRAWN = 0.4
"""Share of the followed objects that were outlined by the network itself, on the frame before."""

Asking = Literal["click", "box", "mask", "both", "follow"]
Planes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A square cut from a frame pair, turned, zoomed and exposed."""

    now: Picture
    before: Picture
    objects: tuple[Planes, Planes]
    """(192, 192) labels now and before."""
    nested: tuple[Planes, Planes]
    depth: npt.NDArray[np.float32]
    """(192, 192) 0..1 depth inside the labels now."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One object, and what is said about it."""

    asking: Asking
    origin: tuple[int, int]
    """(row, col) of the crop in its view, multiples of 4; may be negative."""
    target: Mask
    """(112, 112) the object on the crop; empty if it is gone."""
    maps: Maps
    remembered: npt.NDArray[np.float32]
    """(28, 28) where the object was on the frame before; zeros unless it is followed."""
    redrawn: bool = False
    """Whether it is followed from the network's own outline instead, as it is on long ways."""


def draw_view(rng: np.random.Generator, pair: Pair) -> View:
    """Cut a random view out of a pair, whose second frame is the present one."""
    frames = cut_out(rng, pair)
    return _view(frames, augmented(rng, [frame[:3] / np.float32(255) for frame in frames]))


def fixed_view(pair: Pair) -> View:
    """Cut the middle out of a pair, as it is."""
    margin = (SIZE - VIEW) // 2
    frames = pair[:, :, margin : margin + VIEW, margin : margin + VIEW]
    return _view(frames, [frame[:3] / np.float32(255) for frame in frames])


def _view(frames: Pair, pictures: list[Picture]) -> View:
    labels = frames[:, 3:5].astype(np.int32)
    objects, nested = (labels[1, 0], labels[0, 0]), (labels[1, 1], labels[0, 1])
    return View(pictures[1], pictures[0], objects, nested, frames[1, 5] / np.float32(255))


def cut_out(rng: np.random.Generator, pair: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Cut a random square out of all frames, (192, 192), perhaps zoomed, and turn it."""
    side = VIEW
    if rng.random() < ZOOMED:
        side = int(VIEW * np.exp(rng.uniform(np.log(CLOSEST), np.log(SIZE / VIEW))))
    row, col = rng.integers(0, SIZE - side + 1, 2)
    frames = pair[:, :, row : row + side, col : col + side]
    if side != VIEW:
        frames = _zoomed(frames, side)
    frames = np.rot90(frames, int(rng.integers(4)), axes=(2, 3))
    return np.ascontiguousarray(frames[..., ::-1] if rng.random() < 0.5 else frames)


def _zoomed(frames: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Resize pictures smoothly and labels by the nearest pixel."""
    centres = (np.arange(VIEW) + 0.5) * side / VIEW - 0.5
    nearest = np.clip(np.round(centres).astype(int), 0, side - 1)
    zoomed = frames[:, :, nearest][:, :, :, nearest]
    grid = np.stack(np.meshgrid(centres, centres, indexing="ij"))
    for frame, source in zip(zoomed, frames, strict=True):
        for plane in (0, 1, 2, 5):
            frame[plane] = ndimage.map_coordinates(source[plane], grid, order=1, mode="nearest")
    return zoomed


def draw_sample(rng: np.random.Generator, view: View, following: float) -> Sample | None:
    """Choose an object and a prompt for it; None when the choice was a poor one.

    Parameters
    ----------
    following : share of objects that are followed from the frame before.
    """
    asking: Asking = "follow"
    if rng.random() >= following:
        asking = rng.choice(("click", "box", "mask", "both"), p=(0.46, 0.38, 0.10, 0.06))
    inner = view.nested[0].any() and rng.random() < 0.35
    now, before = view.nested if inner else view.objects
    known = before if asking == "follow" else now
    number = _choose(rng, known)
    if number is None:
        return None
    if inner and not shows(view.before if asking == "follow" else view.now, known == number):
        return None
    return _sample(rng, asking, now == number, known == number)


def _choose(rng: np.random.Generator, labels: Planes) -> int | None:
    """Pick an object that is neither tiny nor longer than the crop."""
    places = [(n, p) for n, p in enumerate(ndimage.find_objects(labels), 1) if p is not None]
    if not places:
        return None
    number, place = places[rng.integers(len(places))]
    longest = max(s.stop - s.start for s in place)
    fits = longest <= LONGEST and (labels[place] == number).sum() >= 12
    return number if fits else None


def shows(picture: Picture, mask: Mask) -> bool:
    """Whether an inner object differs in brightness from what is around it."""
    around = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask)
    if not around.any():
        return False
    return bool(np.abs(picture[:, mask].mean(1) - picture[:, around].mean(1)).max() > 0.03)


def _sample(rng: np.random.Generator, asking: Asking, now: Mask, known: Mask) -> Sample | None:
    rows, cols = np.nonzero(known)
    middle = (rows.min() + rows.max()) / 2, (cols.min() + cols.max()) / 2
    point = click_inside(rng, known)
    origin = origin_at(rng, point if asking == "click" else middle)
    target, seen = crop_of(now, origin), crop_of(known, origin)
    if (target.sum() < 10 and now.any()) or seen.sum() < 10:
        return None
    inside = point[0] - origin[0], point[1] - origin[1]
    remembered = np.zeros((CROP // COARSE_STRIDE,) * 2, np.float32)
    redrawn = asking == "follow" and rng.random() < REDRAWN
    if asking == "follow":
        guess = rough_copy(rng, seen, rng.choice((0, 0.3, 0.6)))
        maps = decoder_queries.render(mask=guess)
        remembered = decoder_queries.halved(decoder_queries.halved(guess))
    elif asking == "mask":
        maps = decoder_queries.render(mask=rough_copy(rng, target, rng.uniform(0, 1)))
    else:
        box = _loose_box(rng, rows - origin[0], cols - origin[1]) if asking != "click" else None
        clicks = [inside] if asking != "box" else []
        maps = decoder_queries.render(clicks, [True] * len(clicks), box)
    return Sample(asking, origin, target, maps, remembered, redrawn)


def origin_at(rng: np.random.Generator, centre: tuple[float, float]) -> tuple[int, int]:
    """Put the corner of a crop so that a place lies near its middle."""
    corner = np.round((np.array(centre) + rng.uniform(-10, 10, 2)) / 4) * 4 - CROP // 2
    row, col = np.clip(corner, -CROP // 2, VIEW - CROP // 2).astype(int)
    return int(row), int(col)


def crop_of(mask: Mask, origin: tuple[int, int]) -> Mask:
    """Cut a mask of a view, (112, 112); nothing lies beyond the view."""
    row, col = origin[0] + CROP // 2, origin[1] + CROP // 2
    return np.pad(mask, CROP // 2)[row : row + CROP, col : col + CROP]


def _loose_box(
    rng: np.random.Generator, rows: npt.NDArray[np.intp], cols: npt.NDArray[np.intp]
) -> tuple[float, float, float, float]:
    """Box around an object, every edge off by some 5 % of the side."""
    low, high = np.array([rows.min(), cols.min()]), np.array([rows.max(), cols.max()])
    slip = rng.normal(size=(2, 2)) * 0.05 * (high - low + 1)
    row0, col0 = low - 0.5 + slip[0]
    row1, col1 = high + 0.5 + slip[1]
    return float(row0), float(col0), float(row1), float(col1)


B = TypeVar("B")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Views and, for each, the same number of samples."""

    now: npt.NDArray[np.float32]
    """(B, 3, 192, 192)"""
    before: npt.NDArray[np.float32]
    """(F, 3, 192, 192) frames before the first F views, on which objects are followed."""
    labels: npt.NDArray[np.int32]
    """(B, 192, 192)"""
    depth: npt.NDArray[np.float32]
    """(B, 192, 192)"""
    samples: list[Sample]
    """B * K, view by view."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a batch is made of."""

    views: int
    samples: int
    """Samples of each view."""
    real: float
    """Share of real pictures, as far as there are any."""


class RandomBatches(IterableDataset[B], ABC):
    """Endless random batches from the shards of a folder; new ones are found as they appear."""

    def __init__(self, folder: Path, mixture: Mixture, seed: int) -> None:
        self.mixture = mixture
        self._folder = folder
        self._seed = seed

    def __iter__(self) -> Iterator[B]:
        """Draw batches forever."""
        worker = get_worker_info()
        rng = np.random.default_rng((self._seed, 0 if worker is None else worker.id))
        while True:
            shards = sorted(self._folder.glob("training-*.npy"))
            real = [path for path in shards if "-real-" in path.name]
            made = [path for path in shards if "-real-" not in path.name]
            for _ in range(100):
                yield self.batch(rng, real, made)

    @abstractmethod
    def batch(self, rng: np.random.Generator, real: Sequence[Path], made: Sequence[Path]) -> B:
        """Draw one batch from real and from invented shards."""

    def wanted(
        self, rng: np.random.Generator, real: Sequence[Path], made: Sequence[Path]
    ) -> Sequence[Path]:
        """Choose between real shards and invented ones."""
        is_real = real and rng.random() < self.mixture.real
        return real if is_real or not made else made


class Batches(RandomBatches[Batch]):
    """Batches of views with prompts; half the views have objects to follow."""

    def batch(self, rng: np.random.Generator, real: Sequence[Path], made: Sequence[Path]) -> Batch:
        """Draw one batch."""
        drawn: list[tuple[View, list[Sample]]] = []
        following = self.mixture.views // 2
        while len(drawn) < self.mixture.views:
            pair = draw_from(rng, self.wanted(rng, real, made))
            follows = len(drawn) < following
            view = draw_view(rng, pair if follows or rng.random() < 0.5 else pair[::-1])
            samples = draw_samples(rng, view, self.mixture.samples, 0.7 if follows else 0.0)
            if samples:
                drawn.append((view, samples))
        return assembled(drawn, following)


def draw_from(rng: np.random.Generator, shards: Sequence[Path]) -> npt.NDArray[np.uint8]:
    """Read one entry of one of the shards."""
    entries = np.load(shards[int(rng.integers(len(shards)))], mmap_mode="r")
    return np.array(entries[rng.integers(len(entries))])


def draw_samples(
    rng: np.random.Generator, view: View, count: int, following: float
) -> list[Sample]:
    """Draw `count` samples, some twice if there are few objects; none if there are no objects."""
    found = []
    for _ in range(4 * count):
        sample = draw_sample(rng, view, following)
        if sample is not None:
            found.append(sample)
        if len(found) == count:
            return found
    return [found[rng.integers(len(found))] for _ in range(count)] if found else []


def assembled(drawn: Sequence[tuple[View, list[Sample]]], following: int) -> Batch:
    """Put views into one batch; objects are followed on the first `following` ones."""
    views = [view for view, _ in drawn]
    before = [view.before for view in views[:following]]
    return Batch(
        now=np.stack([view.now for view in views]),
        before=np.stack(before) if before else np.zeros((0, *views[0].now.shape), np.float32),
        labels=np.stack([view.objects[0] for view in views]),
        depth=np.stack([view.depth for view in views]),
        samples=[sample for _, samples in drawn for sample in samples],
    )


def validation_batches(folder: Path, views: int, samples: int) -> list[Batch]:
    """Read fixed batches from the validation shards of a folder; half the objects are followed."""
    rng = np.random.default_rng(0)
    batches = []
    for path in sorted(folder.glob("validation-*.npy")):
        pairs = np.load(path, mmap_mode="r")
        drawn = [(view, draw_samples(rng, view, samples, 0.5)) for view in map(fixed_view, pairs)]
        drawn = [(view, found) for view, found in drawn if found]
        chunks = range(0, len(drawn), views)
        batches += [assembled(drawn[i : i + views], len(drawn[i : i + views])) for i in chunks]
    return batches

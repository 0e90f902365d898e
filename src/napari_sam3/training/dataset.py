"""Batches drawn from the shards of a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import IterableDataset, get_worker_info

from napari_sam3.training.samples import Sample, View, draw_sample, draw_view, fixed_view

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

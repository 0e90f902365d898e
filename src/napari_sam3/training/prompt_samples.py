"""Samples for the prompt stage: views of frame pairs, and objects with their prompts."""

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

from ..engine.backends.embedded import prompt_encoder
from ..engine.backends.embedded.network import COARSE_STRIDE, CROP
from ..engine.backends.embedded.prompt_encoder import PromptPlanes
from .annotator import click_inside, rough_copy
from .augmentation import augmented
from .label_images import Labels, Pixels
from .shards import SIZE, Pair
from .synthetic.appearance import RgbImage

VIEW = 192
"""Side of the square that is cut from the frames of a shard, in pixels."""
MAX_SIDE = 100
"""Longest side of an object that is prompted, in pixels."""
ZOOMED_SHARE = 0.5
"""Share of the views that are resized."""
MIN_CUT = 0.42
"""Side of the smallest cut that is enlarged to a view, relative to the view."""

OWN_MASK_SHARE = 0.4
"""Share of the propagated objects whose mask on the previous frame is the network's own."""

PromptKind = Literal["click", "box", "mask", "both", "propagate"]


@dataclass(frozen=True, slots=True, eq=False)
class PairView:
    """A square cut from a frame pair, turned, resized and augmented."""

    current: RgbImage
    previous: RgbImage
    objects: tuple[Labels, Labels]
    """(192, 192) each, labels on the current and on the previous frame."""
    nested: tuple[Labels, Labels]
    depth: npt.NDArray[np.float32]
    """(192, 192), 0..1, depth inside the labels of the current frame."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptSample:
    """An object and its prompt."""

    kind: PromptKind
    origin: tuple[int, int]
    """(row, col) of the crop in its view, multiples of 4; may be negative."""
    target: Pixels
    """(112, 112), the object on the crop; empty if it is gone."""
    prompt_planes: PromptPlanes
    memory_mask: npt.NDArray[np.float32]
    """(28, 28), where the object was on the previous frame; zeros unless it is propagated."""
    is_own_mask: bool = False
    """Whether it is propagated from the network's own mask, as on all but the second frame."""


def draw_view(rng: np.random.Generator, pair: Pair) -> PairView:
    """Cut a random view out of a pair, whose second frame is the current frame."""
    frames = random_cut(rng, pair)
    return _view(frames, augmented(rng, [frame[:3] / np.float32(255) for frame in frames]))


def fixed_view(pair: Pair) -> PairView:
    """Cut the middle out of a pair, as it is."""
    margin = (SIZE - VIEW) // 2
    frames = pair[:, :, margin : margin + VIEW, margin : margin + VIEW]
    return _view(frames, [frame[:3] / np.float32(255) for frame in frames])


def _view(frames: Pair, images: list[RgbImage]) -> PairView:
    labels = frames[:, 3:5].astype(np.int32)
    objects, nested = (labels[1, 0], labels[0, 0]), (labels[1, 1], labels[0, 1])
    return PairView(images[1], images[0], objects, nested, frames[1, 5] / np.float32(255))


def random_cut(rng: np.random.Generator, pair: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Cut a random square out of all frames, turn it, and resize some, to (192, 192)."""
    side = VIEW
    if rng.random() < ZOOMED_SHARE:
        side = int(VIEW * np.exp(rng.uniform(np.log(MIN_CUT), np.log(SIZE / VIEW))))
    row, col = rng.integers(0, SIZE - side + 1, 2)
    frames = pair[:, :, row : row + side, col : col + side]
    if side != VIEW:
        frames = _resized(frames, side)
    frames = np.rot90(frames, int(rng.integers(4)), axes=(2, 3))
    return np.ascontiguousarray(frames[..., ::-1] if rng.random() < 0.5 else frames)


def _resized(frames: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Resize images linearly and labels by the nearest pixel."""
    centres = (np.arange(VIEW) + 0.5) * side / VIEW - 0.5
    nearest = np.clip(np.round(centres).astype(int), 0, side - 1)
    resized = frames[:, :, nearest][:, :, :, nearest]
    grid = np.stack(np.meshgrid(centres, centres, indexing="ij"))
    for frame, source in zip(resized, frames, strict=True):
        for plane in (0, 1, 2, 5):
            frame[plane] = ndimage.map_coordinates(source[plane], grid, order=1, mode="nearest")
    return resized


def draw_sample(
    rng: np.random.Generator, view: PairView, propagated_share: float
) -> PromptSample | None:
    """Draw an object and a prompt for it; None if the object does not fit.

    Parameters
    ----------
    propagated_share : share of objects that are propagated from the previous frame.
    """
    kind: PromptKind = "propagate"
    if rng.random() >= propagated_share:
        kind = rng.choice(("click", "box", "mask", "both"), p=(0.46, 0.38, 0.10, 0.06))
    inner = view.nested[0].any() and rng.random() < 0.35
    current, previous = view.nested if inner else view.objects
    known = previous if kind == "propagate" else current
    number = _draw_object(rng, known)
    if number is None:
        return None
    image = view.previous if kind == "propagate" else view.current
    if inner and not is_visible(image, known == number):
        return None
    return _sample(rng, kind, current == number, known == number)


def _draw_object(rng: np.random.Generator, labels: Labels) -> int | None:
    """Draw an object; None if it is tiny or longer than a crop."""
    boxes = [(n, box) for n, box in enumerate(ndimage.find_objects(labels), 1) if box]
    if not boxes:
        return None
    number, box = boxes[rng.integers(len(boxes))]
    longest = max(s.stop - s.start for s in box)
    fits = longest <= MAX_SIDE and (labels[box] == number).sum() >= 12
    return number if fits else None


def is_visible(image: RgbImage, mask: Pixels) -> bool:
    """Whether an inner object differs in brightness from its surroundings."""
    around = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask)
    if not around.any():
        return False
    return bool(np.abs(image[:, mask].mean(1) - image[:, around].mean(1)).max() > 0.03)


def _sample(
    rng: np.random.Generator, kind: PromptKind, current: Pixels, known: Pixels
) -> PromptSample | None:
    rows, cols = np.nonzero(known)
    middle = (rows.min() + rows.max()) / 2, (cols.min() + cols.max()) / 2
    point = click_inside(rng, known)
    origin = draw_origin(rng, point if kind == "click" else middle)
    target, visible = crop_mask(current, origin), crop_mask(known, origin)
    if (target.sum() < 10 and current.any()) or visible.sum() < 10:
        return None
    inside = point[0] - origin[0], point[1] - origin[1]
    memory_mask = np.zeros((CROP // COARSE_STRIDE,) * 2, np.float32)
    is_own_mask = kind == "propagate" and rng.random() < OWN_MASK_SHARE
    if kind == "propagate":
        mask = rough_copy(rng, visible, rng.choice((0, 0.3, 0.6)))
        prompt_planes = prompt_encoder.encode_prompts(mask=mask)
        memory_mask = prompt_encoder.halved(prompt_encoder.halved(mask))
    elif kind == "mask":
        mask = rough_copy(rng, target, rng.uniform(0, 1))
        prompt_planes = prompt_encoder.encode_prompts(mask=mask)
    else:
        box = _jittered_box(rng, rows - origin[0], cols - origin[1]) if kind != "click" else None
        clicks = [inside] if kind != "box" else []
        prompt_planes = prompt_encoder.encode_prompts(clicks, [True] * len(clicks), box)
    return PromptSample(kind, origin, target, prompt_planes, memory_mask, is_own_mask)


def draw_origin(rng: np.random.Generator, centre: tuple[float, float]) -> tuple[int, int]:
    """Draw the corner of a crop so that a point, (row, col), lies near its middle."""
    corner = np.round((np.array(centre) + rng.uniform(-10, 10, 2)) / 4) * 4 - CROP // 2
    row, col = np.clip(corner, -CROP // 2, VIEW - CROP // 2).astype(int)
    return int(row), int(col)


def crop_mask(mask: Pixels, origin: tuple[int, int]) -> Pixels:
    """Cut a crop out of the mask of a view, (112, 112); empty beyond the view."""
    row, col = origin[0] + CROP // 2, origin[1] + CROP // 2
    return np.pad(mask, CROP // 2)[row : row + CROP, col : col + CROP]


def _jittered_box(
    rng: np.random.Generator, rows: npt.NDArray[np.intp], cols: npt.NDArray[np.intp]
) -> tuple[float, float, float, float]:
    """Draw a box around an object, every edge off by some 5 % of the side."""
    low, high = np.array([rows.min(), cols.min()]), np.array([rows.max(), cols.max()])
    jitter = rng.normal(size=(2, 2)) * 0.05 * (high - low + 1)
    row0, col0 = low - 0.5 + jitter[0]
    row1, col1 = high + 0.5 + jitter[1]
    return float(row0), float(col0), float(row1), float(col1)


B = TypeVar("B")


@dataclass(frozen=True, slots=True, eq=False)
class PromptBatch:
    """Views and, for each, the same number of samples."""

    current: npt.NDArray[np.float32]
    """(B, 3, 192, 192)"""
    previous: npt.NDArray[np.float32]
    """(F, 3, 192, 192), previous frames of the first F views, whose objects are propagated."""
    labels: Labels
    """(B, 192, 192)"""
    depth: npt.NDArray[np.float32]
    """(B, 192, 192)"""
    samples: list[PromptSample]
    """B * K, view by view."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Size and sources of a batch."""

    views: int
    samples: int
    """Samples of each view."""
    real: float
    """Share of real images, as far as there are any."""


class RandomBatches(IterableDataset[B], ABC):
    """Endless random batches from the shards of a folder; new shards are used as they appear."""

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
            synthetic = [path for path in shards if "-real-" not in path.name]
            for _ in range(100):
                yield self.batch(rng, real, synthetic)

    @abstractmethod
    def batch(self, rng: np.random.Generator, real: Sequence[Path], synthetic: Sequence[Path]) -> B:
        """Draw a batch from real and synthetic shards."""

    def choose_shards(
        self, rng: np.random.Generator, real: Sequence[Path], synthetic: Sequence[Path]
    ) -> Sequence[Path]:
        """Draw whether the next entry is real or synthetic, and return those shards."""
        is_real = real and rng.random() < self.mixture.real
        return real if is_real or not synthetic else synthetic


class PromptBatches(RandomBatches[PromptBatch]):
    """Batches of views with prompts; on half the views, objects are propagated."""

    def batch(
        self, rng: np.random.Generator, real: Sequence[Path], synthetic: Sequence[Path]
    ) -> PromptBatch:
        """Draw a batch."""
        drawn: list[tuple[PairView, list[PromptSample]]] = []
        propagated_views = self.mixture.views // 2
        while len(drawn) < self.mixture.views:
            pair = read_entry(rng, self.choose_shards(rng, real, synthetic))
            is_propagated = len(drawn) < propagated_views
            view = draw_view(rng, pair if is_propagated or rng.random() < 0.5 else pair[::-1])
            samples = draw_samples(rng, view, self.mixture.samples, 0.7 if is_propagated else 0.0)
            if samples:
                drawn.append((view, samples))
        return collate(drawn, propagated_views)


def read_entry(rng: np.random.Generator, shards: Sequence[Path]) -> npt.NDArray[np.uint8]:
    """Read a random entry of a random shard."""
    entries = np.load(shards[int(rng.integers(len(shards)))], mmap_mode="r")
    return np.array(entries[rng.integers(len(entries))])


def draw_samples(
    rng: np.random.Generator, view: PairView, count: int, propagated_share: float
) -> list[PromptSample]:
    """Draw `count` samples, some twice if there are few objects; none if there are no objects."""
    samples = []
    for _ in range(4 * count):
        sample = draw_sample(rng, view, propagated_share)
        if sample is not None:
            samples.append(sample)
        if len(samples) == count:
            return samples
    return [samples[rng.integers(len(samples))] for _ in range(count)] if samples else []


def collate(
    drawn: Sequence[tuple[PairView, list[PromptSample]]], propagated_views: int
) -> PromptBatch:
    """Put views into a batch; objects are propagated on the first `propagated_views`."""
    views = [view for view, _ in drawn]
    previous = [view.previous for view in views[:propagated_views]]
    shape = views[0].current.shape
    return PromptBatch(
        current=np.stack([view.current for view in views]),
        previous=np.stack(previous) if previous else np.zeros((0, *shape), np.float32),
        labels=np.stack([view.objects[0] for view in views]),
        depth=np.stack([view.depth for view in views]),
        samples=[sample for _, samples in drawn for sample in samples],
    )


def validation_batches(folder: Path, views: int, samples: int) -> list[PromptBatch]:
    """Read fixed batches from the validation shards of a folder; half the samples propagate."""
    rng = np.random.default_rng(0)
    batches = []
    for path in sorted(folder.glob("validation-*.npy")):
        pairs = np.load(path, mmap_mode="r")
        drawn = [(view, draw_samples(rng, view, samples, 0.5)) for view in map(fixed_view, pairs)]
        drawn = [(view, own) for view, own in drawn if own]
        chunks = range(0, len(drawn), views)
        batches += [collate(drawn[i : i + views], len(drawn[i : i + views])) for i in chunks]
    return batches

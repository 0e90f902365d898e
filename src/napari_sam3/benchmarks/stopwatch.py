"""A model that takes the time of another one."""

from __future__ import annotations

import platform
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from ..engine.backends.base import Backend, Embedding, Packed, Prediction
from ..samples import Sample, dividing_cells
from ..values import Appearance, Box, Candidates, Concept, Prompts


class TimedBackend:
    """Passes every question on and notes how long the answer took.

    Attributes
    ----------
    spent : dict
        Seconds of every call so far, by the name of the method.
    """

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self.revision = backend.revision
        self.device = backend.device
        self.reads_text = backend.reads_text
        self.reads_exemplars = backend.reads_exemplars
        self.spent: dict[str, list[float]] = defaultdict(list)
        self._backend = backend

    @property
    def total(self) -> float:
        """Seconds of all calls so far."""
        return sum(sum(seconds) for seconds in self.spent.values())

    def encode(self, image: NDArray[np.float32]) -> Embedding:
        """Embed one image, (H, W, 3)."""
        with self._timing("encode"):
            return self._backend.encode(image)

    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> Sequence[Embedding]:
        """Embed several images, each (H, W, 3)."""
        with self._timing("encode"):
            return self._backend.encode_batch(images)

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays."""
        with self._timing("pack"):
            return self._backend.pack(embedding)

    def unpack(self, packed: Packed) -> Embedding:
        """Return the embedding that was packed."""
        with self._timing("unpack"):
            return self._backend.unpack(packed)

    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        """Answer the prompts of several objects."""
        with self._timing("segment"):
            return self._backend.segment(embedding, prompts, previous)

    def everything(self, embedding: Embedding) -> Candidates:
        """Find all objects of the image."""
        with self._timing("everything"):
            return self._backend.everything(embedding)

    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Find all objects that a text or exemplars describe."""
        with self._timing("find"):
            return self._backend.find(embedding, concept)

    def appearance(self, embedding: Embedding, box: Box) -> Appearance:
        """Return what objects like the one in a box of the image are recognised by."""
        with self._timing("appearance"):
            return self._backend.appearance(embedding, box)

    def update_memory(self, track: Any | None, embedding: Embedding, answer: Prediction) -> Any:
        """Return the track of an object that is on the image as answered."""
        with self._timing("remember"):
            return self._backend.update_memory(track, embedding, answer)

    def propagate(self, embedding: Embedding, tracks: Sequence[Any]) -> list[Prediction]:
        """Find the tracked objects on the next image."""
        with self._timing("follow"):
            return self._backend.propagate(embedding, tracks)

    @contextmanager
    def _timing(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.spent[name].append(perf_counter() - start)


MIB = 2**20


def machine(model: str, device: str) -> str:
    """Name what was measured on."""
    return (
        f"Model {model} on {device}, {platform.platform()}, Python {platform.python_version()}.\n\n"
    )


def peak_memory() -> float:
    """Return what the process occupied at most so far, in MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / MIB
    from resource import (
        RUSAGE_SELF,
        getrusage,  # is not on Windows
    )

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return getrusage(RUSAGE_SELF).ru_maxrss * unit / MIB


SIDE = 1024  # pixels of the square image that one model is asked about
CLICKS = 5  # for every repetition


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a model is asked about."""

    image: NDArray[np.float32]  # (H, W, 3) in 0..1
    points: NDArray[np.int64]  # (N, 2) row, col on objects
    masks: list[NDArray[np.bool_]]  # (H, W) of the objects that are followed
    repeat: int


def enlarged(sample: Sample, side: int, frames: int) -> Sample:
    """Continue the first frames of a sample as in a mirror, to squares of this side."""
    rows, cols = sample.image.shape[1:]
    missing = ((0, 0), (0, side - rows), (0, side - cols))
    image, labels = (
        np.pad(stack[:frames], missing, "symmetric") for stack in (sample.image, sample.labels)
    )
    return Sample(image, labels)


def points_inside(labels: NDArray[np.uint16], count: int) -> NDArray[np.int64]:
    """Choose points, (count, 2) as row, col, on the objects of a frame (H, W)."""
    inside = np.argwhere(labels > 0)
    return np.random.default_rng(0).choice(inside, count)


def scene(repeat: int, objects: int) -> Scene:
    """Show dividing cells, and choose some of them."""
    sample = enlarged(dividing_cells(), SIDE, 1)
    grey = sample.image[0].astype(np.float32)
    image = np.repeat((grey / grey.max())[..., None], 3, axis=-1)
    labels = sample.labels[0]
    points = points_inside(labels, CLICKS * repeat + 1)
    numbers = [number for number in np.unique(labels) if number > 0]
    masks = [labels == numbers[n % len(numbers)] for n in range(objects)]
    return Scene(image, points, masks, repeat)

"""Speed and memory of the engine, with any model."""

from __future__ import annotations

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
from ..engine.backends.embedded.model import EmbeddedBackend
from ..engine.cache.budgets import Budgets
from ..engine.engine import Engine
from ..engine.images.frames import Frames
from ..engine.session import Session
from ..samples import dividing_cells
from ..values import Appearance, Candidates, Concept, Corners, Prompts
from .movies import back_and_forth, enlarged, points_inside
from .stopwatch import MIB

CACHE_BYTES = 2**26  # while memory is measured, so that the cache is full before the first figure
MEMORY_SIDE = 128  # pixels of the square frames meanwhile


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    sides: tuple[int, ...]  # of the square frames, pixels
    clicks: int
    batch: int  # objects prompted together
    steps: int  # frames of a propagation of 10 objects
    memory: tuple[int, ...]  # frames of a propagation after which memory is measured


FULL = Size(sides=(512, 1024, 2048), clicks=50, batch=100, steps=10, memory=(100, 1000))
QUICK = Size(sides=(256,), clicks=3, batch=4, steps=3, memory=(2, 4))


@dataclass(frozen=True, slots=True)
class Speed:
    """Times on square frames of one size, in milliseconds."""

    side: int  # pixels
    encode: float
    click: float  # median; the frame is encoded
    click_p95: float
    own: float  # median share of the engine in a click, outside the model
    batch: float  # all objects of a batch together; the frame is encoded
    propagation: float  # per frame and object; the frame is encoded


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the process after some frames of a propagation."""

    frames: int
    rss: float  # MiB


def load_embedded(device: str) -> Backend:
    """Load the embedded model."""
    return EmbeddedBackend.load(None, device)


def measure_memory(backend: Backend, frames: Sequence[int]) -> list[Memory]:
    """Propagate an object and measure the memory of the process after so many frames."""
    sample = dividing_cells()
    image = sample.image[:, :MEMORY_SIDE, :MEMORY_SIDE]
    order = back_and_forth(max(frames))
    stack = Frames(
        count=max(frames),
        shape=(MEMORY_SIDE, MEMORY_SIDE),
        channels=1,
        read=lambda frame: image[order[frame]][..., None],
    )
    session = Engine(backend, Budgets(CACHE_BYTES, CACHE_BYTES)).open(stack)
    prompts = {(0, 1): _at(points_inside(sample.labels[0, :MEMORY_SIDE, :MEMORY_SIDE], 1)[0])}
    process = psutil.Process()
    figures = []
    for done, _ in enumerate(session.propagate(prompts), start=1):
        if done in frames:
            figures.append(Memory(done, process.memory_info().rss / MIB))
    session.close()
    return figures


def measure_speed(backend: Backend, side: int, size: Size) -> Speed:
    """Time the engine on square frames."""
    timed_backend = TimedBackend(backend)
    sample = enlarged(dividing_cells(), side, size.steps)
    session = Engine(timed_backend).open(sample.image)
    points = points_inside(sample.labels[0], max(size.clicks, size.batch))
    for frame in range(size.steps):
        session.segment(frame, _at(points[0]))  # encodes the frame, and warms up
    clicks, own = _timed_clicks(session, timed_backend, points[: size.clicks])
    start = perf_counter()
    session.segment_many(1, {number: _at(point) for number, point in enumerate(points)})
    batch = perf_counter() - start
    propagation = _timed_propagation(session, points[:10], size.steps)
    session.close()
    encode = float(np.median(timed_backend.spent["encode"]))
    median, late = np.percentile(clicks, (50, 95))
    figures = (encode, median, late, np.median(own), batch, propagation)
    return Speed(side, *(round(1000 * float(seconds), 2) for seconds in figures))


def memory_table(memory: Sequence[Memory]) -> str:
    """Return the memory as a Markdown table."""
    rows = "".join(f"| {figure.frames} | {figure.rss:.0f} |\n" for figure in memory)
    return f"| frames propagated | RSS, MiB |\n| --- | --- |\n{rows}\n"


def speed_header(size: Size) -> str:
    """Return the head of a Markdown table of times."""
    return (
        f"| frame, pixels | encode, ms | click, ms | 95 % of clicks, ms | own share, ms "
        f"| {size.batch} objects at once, ms | propagation per frame and object, ms |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )


def speed_row(speed: Speed) -> str:
    """Return the times on frames of one size as a row of the table."""
    return (
        f"| {speed.side} x {speed.side} | {speed.encode:.0f} | {speed.click:.1f} "
        f"| {speed.click_p95:.1f} | {speed.own:.2f} | {speed.batch:.0f} "
        f"| {speed.propagation:.1f} |\n"
    )


class TimedBackend(Backend):
    """A model that passes every call on to another model, and times it.

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
        """Encode one image, (H, W, 3)."""
        with self._timing("encode"):
            return self._backend.encode(image)

    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> Sequence[Embedding]:
        """Encode several images, each (H, W, 3)."""
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
        """Segment several objects by their prompts."""
        with self._timing("segment"):
            return self._backend.segment(embedding, prompts, previous)

    def everything(self, embedding: Embedding) -> Candidates:
        """Detect all objects of the image."""
        with self._timing("everything"):
            return self._backend.everything(embedding)

    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Detect all objects that a text or exemplars describe."""
        with self._timing("find"):
            return self._backend.find(embedding, concept)

    def appearance(self, embedding: Embedding, box: Corners) -> Appearance:
        """Return what objects similar to the one in a box are recognised by on other images."""
        with self._timing("appearance"):
            return self._backend.appearance(embedding, box)

    def update_memory(
        self, memory: Any | None, embedding: Embedding, prediction: Prediction
    ) -> Any:
        """Return the memory of an object after the encoded image, on which it is as predicted."""
        with self._timing("update_memory"):
            return self._backend.update_memory(memory, embedding, prediction)

    def propagate(self, embedding: Embedding, memories: Sequence[Any]) -> list[Prediction]:
        """Segment objects on the next image by their memories."""
        with self._timing("propagate"):
            return self._backend.propagate(embedding, memories)

    @contextmanager
    def _timing(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.spent[name].append(perf_counter() - start)


def _at(point: NDArray[np.int64]) -> Prompts:
    return Prompts(points=[point])


def _timed_clicks(
    session: Session, timed_backend: TimedBackend, points: NDArray[np.int64]
) -> tuple[list[float], list[float]]:
    """Click once on every point; return the seconds of each click, and those outside the model."""
    clicks, own = [], []
    for object_id, point in enumerate(points, start=1):
        start, in_model = perf_counter(), timed_backend.total
        session.segment(0, _at(point), object_id)
        clicks.append(perf_counter() - start)
        own.append(clicks[-1] - (timed_backend.total - in_model))
    return clicks, own


def _timed_propagation(session: Session, points: NDArray[np.int64], steps: int) -> float:
    """Propagate an object from each point and return the seconds per frame and object."""
    prompts = {(0, number): _at(point) for number, point in enumerate(points, start=1)}
    session.segment_many(0, {number: own for (_, number), own in prompts.items()})
    start = perf_counter()
    masks = sum(1 for _ in session.propagate(prompts, range(1, steps)))
    return (perf_counter() - start) / masks

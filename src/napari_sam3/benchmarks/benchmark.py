"""Measure how long the engine takes on this machine, and how much memory."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil
from numpy.typing import NDArray

from ..engine.backends.base import Backend
from ..engine.cache.budgets import Budgets
from ..engine.engine import Engine
from ..engine.images.frames import Frames
from ..engine.session import Session
from ..samples import dividing_cells
from ..values import Prompts
from . import sam_models
from .stopwatch import MIB, TimedBackend, enlarged, machine, points_inside

CACHE_BYTES = 2**26  # while memory is read, so that the cache is full before the first reading
MEMORY_SIDE = 128  # pixels of the square frames meanwhile


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    sides: tuple[int, ...]  # of the square frames, pixels
    clicks: int
    batch: int  # objects prompted in one pass
    steps: int  # frames of a propagation of 10 objects
    memory: tuple[int, ...]  # frames of a propagation after which memory is read


FULL = Size(sides=(512, 1024, 2048), clicks=50, batch=100, steps=10, memory=(100, 1000))
QUICK = Size(sides=(256,), clicks=3, batch=4, steps=3, memory=(2, 4))


@dataclass(frozen=True, slots=True)
class Speed:
    """Times on square frames of one size, in milliseconds."""

    side: int  # pixels
    encode: float
    click: float  # median; the embedding is there
    click_p95: float
    own: float  # median share of the engine in a click, outside the model
    batch: float  # all objects of a batch together; the embedding is there
    propagation: float  # per frame and object; the embedding is there


@dataclass(frozen=True, slots=True)
class Memory:
    """What the process occupies after so many frames of a propagation."""

    frames: int
    rss: float  # MiB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--quick", action="store_true", help="measure little, to see that it works")
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps; default auto")
    sam_models.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the figures as Markdown tables as they come."""
    if sam_models.is_asked(arguments):
        return sam_models.run(arguments)
    from ..engine.backends.embedded.model import EmbeddedBackend  # torch takes seconds to import

    size = QUICK if arguments.quick else FULL
    backend = EmbeddedBackend.load(None, arguments.device)
    sys.stdout.write(machine(backend.name, backend.device))
    memory = measure_memory(backend, size.memory)
    sys.stdout.write(memory_table(memory) + speed_header(size))
    speeds = []
    for side in size.sides:
        speeds.append(measure_speed(backend, side, size))
        sys.stdout.write(speed_row(speeds[-1]))
    if arguments.json:
        figures = {"speed": list(map(asdict, speeds)), "memory": list(map(asdict, memory))}
        arguments.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def measure_memory(backend: Backend, frames: Sequence[int]) -> list[Memory]:
    """Propagate one object and read the memory of the process after so many frames."""
    sample = dividing_cells()
    image = sample.image[:, :MEMORY_SIDE, :MEMORY_SIDE]
    there_and_back = [*range(len(image)), *range(len(image) - 2, 0, -1)]
    stack = Frames(
        count=max(frames),
        shape=(MEMORY_SIDE, MEMORY_SIDE),
        channels=1,
        read=lambda frame: image[there_and_back[frame % len(there_and_back)]][..., None],
    )
    session = Engine(backend, Budgets(CACHE_BYTES, CACHE_BYTES)).open(stack)
    prompts = {(0, 1): _at(points_inside(sample.labels[0, :MEMORY_SIDE, :MEMORY_SIDE], 1)[0])}
    process = psutil.Process()
    hypotheses = []
    for done, _ in enumerate(session.propagate(prompts), start=1):
        if done in frames:
            hypotheses.append(Memory(done, process.memory_info().rss / MIB))
    session.close()
    return hypotheses


def measure_speed(backend: Backend, side: int, size: Size) -> Speed:
    """Time the engine on square frames."""
    watch = TimedBackend(backend)
    sample = enlarged(dividing_cells(), side, size.steps)
    session = Engine(watch).open(sample.image)
    points = points_inside(sample.labels[0], max(size.clicks, size.batch))
    for frame in range(size.steps):
        session.segment(frame, _at(points[0]))  # embeds the frame, and warms up
    clicks, own = _timed_clicks(session, watch, points[: size.clicks])
    start = perf_counter()
    session.segment_many(1, {number: _at(point) for number, point in enumerate(points)})
    batch = perf_counter() - start
    propagation = _timed_propagation(session, points[:10], size.steps)
    session.close()
    encode = float(np.median(watch.spent["encode"]))
    median, late = np.percentile(clicks, (50, 95))
    figures = (encode, median, late, np.median(own), batch, propagation)
    return Speed(side, *(round(1000 * float(seconds), 2) for seconds in figures))


def memory_table(memory: Sequence[Memory]) -> str:
    """Write what is occupied as a Markdown table."""
    rows = "".join(f"| {one.frames} | {one.rss:.0f} |\n" for one in memory)
    return f"| frames propagated | RSS, MiB |\n| --- | --- |\n{rows}\n"


def speed_header(size: Size) -> str:
    """Begin a Markdown table of times."""
    return (
        f"| frame, pixels | encode, ms | click, ms | 95 % of clicks, ms | own share, ms "
        f"| {size.batch} objects at once, ms | propagation per frame and object, ms |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )


def speed_row(one: Speed) -> str:
    """Write the times on frames of one size as a row of the table."""
    return (
        f"| {one.side} x {one.side} | {one.encode:.0f} | {one.click:.1f} | {one.click_p95:.1f} "
        f"| {one.own:.2f} | {one.batch:.0f} | {one.propagation:.1f} |\n"
    )


def _at(point: NDArray[np.int64]) -> Prompts:
    return Prompts(points=[point])


def _timed_clicks(
    session: Session, watch: TimedBackend, points: NDArray[np.int64]
) -> tuple[list[float], list[float]]:
    """Click once on every point; return the seconds of each click, and those outside the model."""
    clicks, own = [], []
    for object_id, point in enumerate(points, start=1):
        asked, answered = perf_counter(), watch.total
        session.segment(0, _at(point), object_id)
        clicks.append(perf_counter() - asked)
        own.append(clicks[-1] - (watch.total - answered))
    return clicks, own


def _timed_propagation(session: Session, points: NDArray[np.int64], steps: int) -> float:
    """Follow an object from each point and return the seconds per frame and object."""
    prompts = {(0, number): _at(point) for number, point in enumerate(points, start=1)}
    session.segment_many(0, {number: said for (_, number), said in prompts.items()})
    start = perf_counter()
    masks = sum(1 for _ in session.propagate(prompts, range(1, steps)))
    return (perf_counter() - start) / masks

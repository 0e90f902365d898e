"""What every contender is asked, step by step, with a stopwatch in hand."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
from bare_decoder import Rehearsal, decoders_in
from numpy.typing import NDArray

MOVIE, CLICKS, OBJECTS = "movie.npy", "clicks.npy", "objects.npy"
"""Where the movie lies in its folder, and what is clicked on it."""

Figures = dict[str, float]
"""What was measured, by its name; times in milliseconds, memory in MiB."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A movie, and what is said about it."""

    movie: NDArray[np.uint16]  # (F, H, W), read from the disk frame by frame
    clicks: NDArray[np.int64]  # (F, N, 2) row, col on objects of every frame
    objects: NDArray[np.int64]  # (K, 2) row, col on the objects of the first frame to be followed
    folder: Path  # where a contender may keep what it likes

    @classmethod
    def read(cls, arguments: argparse.Namespace) -> Task:
        """Read the first frames of a movie that `movie.py` has written."""
        source = Path(arguments.movie)
        movie = np.load(source / MOVIE, mmap_mode="r")[: arguments.frames]
        clicks, objects = np.load(source / CLICKS), np.load(source / OBJECTS)
        return cls(movie, clicks[: arguments.frames], objects, Path(arguments.folder))

    @property
    def last(self) -> int:
        """The frame that is clicked on: the one that was embedded last."""
        return len(self.movie) - 1

    def image(self, frame: int) -> NDArray[np.float32]:
        """Show a frame in grey, (H, W, 3) in 0..1."""
        grey = self.movie[frame].astype(np.float32)
        return np.repeat((grey / grey.max())[..., None], 3, axis=-1)


class Contender(Protocol):
    """A program that outlines and follows objects."""

    def warm_up(self) -> None:
        """Embed an image and click on it, and forget it: the first time is always slower."""

    def embed(self) -> None:
        """Embed all frames, or find them embedded, until each can be clicked on."""

    def click(self, frame: int, point: NDArray[np.int64]) -> None:
        """Outline what lies at a point, (row, col), of the frame that was embedded last."""

    def propagate(self) -> int:
        """Follow the objects through all frames and return how many masks have a pixel."""


def arguments() -> argparse.ArgumentParser:
    """Declare what every contender is told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("movie", help="the folder of the movie")
    parser.add_argument("folder", help="a folder to keep things in")
    parser.add_argument("--frames", type=int, required=True, help="how many of the movie")
    parser.add_argument("--model", default="", help="which one")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--reopen", action="store_true", help="come back to what was kept")
    return parser


def enter(contender: Contender, task: Task, is_back: bool) -> None:
    """Let a contender take its steps, and write the figures as one line of JSON."""
    figures = reopened(contender, task) if is_back else competed(contender, task)
    sys.stdout.write(json.dumps({name: round(one, 4) for name, one in figures.items()}) + "\n")


def competed(contender: Contender, task: Task) -> Figures:
    """Embed, click, and follow."""
    count = len(task.movie)
    contender.warm_up()
    figures = {"frames": float(count), "embed": timed(contender.embed) / count}
    figures |= clicked(contender, task)
    followed: list[int] = []
    figures["follow"] = timed(lambda: followed.append(contender.propagate())) / count
    figures["followed"] = 100 * followed[0] / (count * len(task.objects))
    return figures | {"peak": peak()}


def clicked(contender: Contender, task: Task) -> Figures:
    """Click on object after object, and let the decoder repeat by itself what it did for each."""
    first, *later = (partial(contender.click, task.last, point) for point in _clicks(task))
    figures = {"first click": timed(first)}
    decoders = decoders_in(first)
    clicks, alone = [], []
    for click in later:
        with Rehearsal(decoders) as rehearsal:
            clicks.append(timed(click))
        alone.append(timed(rehearsal.repeat))
    figures |= {"click": _median(clicks), "late click": float(np.percentile(clicks, 95))}
    return figures | {"decoder": _median(alone)}


def reopened(contender: Contender, task: Task) -> Figures:
    """Come back to a stack that was embedded, and click."""
    contender.warm_up()
    figures = {"reopen": timed(contender.embed) / len(task.movie)}
    click = partial(contender.click, task.last, _clicks(task)[0])
    return figures | {"click after reopening": timed(click)}


def timed(step: Callable[[], object]) -> float:
    """Return how many milliseconds a step takes."""
    start = perf_counter()
    step()
    return 1000 * (perf_counter() - start)


def peak() -> float:
    """Return what the process occupied at most so far, in MiB."""
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20


def _clicks(task: Task) -> NDArray[np.int64]:
    return task.clicks[task.last]


def _median(figures: list[float]) -> float:
    return float(np.median(figures))

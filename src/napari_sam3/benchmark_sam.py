"""Measure one model of the SAM family, and the stock classes of transformers beside it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from .benchmark_machine import MIB, machine, peak_memory
from .benchmark_sample import CLICKS, Scene, scene
from .engine import ModelError

if TYPE_CHECKING:  # takes seconds to import
    from .engine.sam.comparing import Shared
    from .engine.sam.trials import Trial

STEPS = 2  # frames of every repetition
GPU_MEMORY = "peak memory of the GPU, MiB"

Figures = dict[str, float]
"""What was measured, by the name of its row."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what measuring one model takes."""
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="measure this model: embedded, a name such as facebook/sam3, or a folder of weights",
    )
    parser.add_argument(
        "--random-weights",
        action="store_true",
        help="with --model: build it at full size with random weights, without a download",
    )
    parser.add_argument(
        "--stock",
        action="store_true",
        help="with --model: measure the classes of transformers beside it",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help=f"with --model: encode N times, click {CLICKS} N times, follow {STEPS} N frames",
    )
    parser.add_argument(
        "--objects", type=int, default=1, metavar="N", help="with --model: follow N; default 1"
    )


def is_asked(arguments: argparse.Namespace) -> bool:
    """Return whether one model shall be measured.

    Raises
    ------
    ModelError
        If something is asked of a model that is not named.
    """
    if arguments.model is None and (arguments.random_weights or arguments.stock):
        raise ModelError("No model is named: add --model and a name such as facebook/sam3.")
    return arguments.model is not None


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the figures as a Markdown table; single figures as they come.

    Raises
    ------
    ModelError
        If less than one repetition or object is asked for, or the model cannot be had.
    """
    if arguments.repeat < 1 or arguments.objects < 1:
        raise ModelError("Nothing would be measured: choose 1 or more for --repeat and --objects.")
    columns = _measured(arguments, scene(arguments.repeat, arguments.objects))
    sys.stdout.write(table(columns))
    if arguments.json:
        arguments.json.write_text(json.dumps(columns, indent=1), encoding="utf-8")
    return 0


def table(columns: dict[str, Figures]) -> str:
    """Write figures as a Markdown table, with a column for how they compare if there are two."""
    names = [*columns, *(["ours / stock"] if len(columns) > 1 else [])]
    lines = ["| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for row in next(iter(columns.values())):
        figures = [column.get(row) for column in columns.values()]
        cells = ["" if figure is None else _rounded(figure) for figure in figures]
        if len(figures) > 1:
            cells.append(_ratio(*figures))
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def steps(trial: Trial, scene: Scene) -> Iterator[tuple[str, float]]:
    """Take every step, and yield what it is and how many milliseconds it took."""
    yield "encode, ms", _median([_timed(trial.encode) for _ in range(scene.repeat)])
    first, *later = [_timed(partial(trial.click, point)) for point in scene.points]
    yield "first click, ms", first
    yield "click, ms", _median(later)
    yield "95 % of clicks, ms", float(np.percentile(later, 95))
    if trial.reads_text:
        words = [f"cell {number}" for number in range(scene.repeat + 1)]  # each is new
        first, *later = [_timed(partial(trial.find, word)) for word in words]
        yield "first concept, ms", first
        yield "concept, ms", _median(later)
    trial.start(scene.masks)
    spent = [_timed(trial.follow) for _ in range(STEPS * scene.repeat)]
    yield "tracking per frame and object, ms", float(np.mean(spent)) / len(scene.masks)


def _measured(arguments: argparse.Namespace, scene: Scene) -> dict[str, Figures]:
    from .engine.sam.comparing import alone
    from .engine.sam.trials import OwnTrial

    shared = _shared(arguments)
    backend = shared.backend if shared else alone(arguments.model, arguments.device)
    sys.stdout.write(machine(backend.name, backend.device))
    sys.stdout.flush()
    trial = OwnTrial(backend, scene.image)
    trial.encode()  # the first pass through any network is slower
    trial.click(scene.points[0])
    ours = _figures("ours", trial, scene, backend.device)
    ours["peak memory of the process, MiB"] = peak_memory()
    if not shared or not arguments.stock:
        return {"ours": ours}
    stock = _figures("stock", shared.stock_trial(scene.image), scene, backend.device)
    return {"ours": ours, "stock": stock}


def _shared(arguments: argparse.Namespace) -> Shared | None:
    """Return a model that stock classes can share, if that is asked for."""
    from .engine.sam.comparing import with_its_weights, with_random_weights

    if arguments.random_weights:
        return with_random_weights(arguments.model, arguments.device)
    return with_its_weights(arguments.model, arguments.device) if arguments.stock else None


def _figures(who: str, trial: Trial, scene: Scene, device: str) -> Figures:
    """Measure one trial, and tell on standard error how far it is."""
    from .engine.sam.trials import forget_gpu_peak, gpu_peak

    forget_gpu_peak(device)
    figures = {}
    for row, figure in steps(trial, scene):
        figures[row] = figure
        sys.stderr.write(f"{who}: {row}: {_rounded(figure)}\n")
    peak = gpu_peak(device)
    return figures if peak is None else figures | {GPU_MEMORY: peak / MIB}


def _timed(step: Callable[[], None]) -> float:
    start = perf_counter()
    step()
    return 1000 * (perf_counter() - start)


def _median(figures: list[float]) -> float:
    return float(np.median(figures))


def _rounded(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.1f}"


def _ratio(ours: float | None, stock: float | None) -> str:
    return f"{ours / stock:.2f}" if ours and stock else ""

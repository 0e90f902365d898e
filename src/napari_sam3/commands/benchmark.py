"""Measure speed and memory of a model on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from ..benchmarks.movies import CLICKS_PER_REPETITION, FRAMES_PER_REPETITION, scene
from ..benchmarks.stopwatch import machine
from ..values import ModelError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--quick", action="store_true", help="measure little, to see that it works")
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps; default auto")
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
        help=f"with --model: encode N times, click {CLICKS_PER_REPETITION} N times, "
        f"propagate to {FRAMES_PER_REPETITION} N frames",
    )
    parser.add_argument(
        "--objects", type=int, default=1, metavar="N", help="with --model: propagate N; default 1"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure the engine with the embedded model, or a single model.

    Raises
    ------
    ModelError
        If options for a single model are given without a model.
    """
    if arguments.model is not None:
        return _measure_model(arguments)
    if arguments.random_weights or arguments.stock:
        raise ModelError("No model is named: add --model and a name such as facebook/sam3.")
    return _measure_engine(arguments)


def _measure_engine(arguments: argparse.Namespace) -> int:
    """Write the figures as Markdown tables as they come."""
    from ..benchmarks import engine_speed  # torch takes seconds to import

    size = engine_speed.QUICK if arguments.quick else engine_speed.FULL
    backend = engine_speed.load_embedded(arguments.device)
    sys.stdout.write(machine(backend.name, backend.device))
    memory = engine_speed.measure_memory(backend, size.memory)
    sys.stdout.write(engine_speed.memory_table(memory) + engine_speed.speed_header(size))
    speeds = []
    for side in size.sides:
        speeds.append(engine_speed.measure_speed(backend, side, size))
        sys.stdout.write(engine_speed.speed_row(speeds[-1]))
    if arguments.json:
        figures = {"speed": list(map(asdict, speeds)), "memory": list(map(asdict, memory))}
        arguments.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def _measure_model(arguments: argparse.Namespace) -> int:
    """Write the figures as a Markdown table; each figure as it comes on standard error.

    Raises
    ------
    ModelError
        If less than one repetition or object is requested, or the model cannot be had.
    """
    from ..benchmarks import sam_models  # transformers takes seconds to import

    if arguments.repeat < 1 or arguments.objects < 1:
        raise ModelError("Nothing would be measured: choose 1 or more for --repeat and --objects.")
    shared = None
    if arguments.random_weights:
        shared = sam_models.with_random_weights(arguments.model, arguments.device)
    elif arguments.stock:
        shared = sam_models.with_its_weights(arguments.model, arguments.device)
    backend = shared.backend if shared else sam_models.alone(arguments.model, arguments.device)
    sys.stdout.write(machine(backend.name, backend.device))
    sys.stdout.flush()
    prompted = scene(arguments.repeat, arguments.objects)
    columns = {"ours": sam_models.measure_own(backend, prompted)}
    if shared and arguments.stock:
        columns["stock"] = sam_models.measure_stock(shared, prompted)
    sys.stdout.write(sam_models.table(columns))
    if arguments.json:
        arguments.json.write_text(json.dumps(columns, indent=1), encoding="utf-8")
    return 0

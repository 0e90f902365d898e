"""Measure models on images with ground truth, prompted as an annotator would."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ..engine import Engine
from ..training import (
    Item,
    Result,
    as_json,
    calibration_text,
    classical_backends,
    draw_range,
    draw_worst,
    image_table,
    measure,
    model_table,
    read_items,
)
from ..values import FramesError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "images", type=Path, help="a folder of images, or of */image.tif and */labels.tif"
    )
    parser.add_argument(
        "labels", type=Path, nargs="?", help="a folder of labels with the names of their images"
    )
    parser.add_argument(
        "--model", action="append", help="a model's name or weights; repeat it to compare models"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps; default auto")
    parser.add_argument("--baselines", action="store_true", help="also measure classical methods")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="measure images with this word in their name"
    )
    parser.add_argument(
        "--partial",
        action="append",
        default=[],
        metavar="WORD",
        help="images with this word in their name have objects without a label; repeat as needed",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    parser.add_argument(
        "--worst", nargs=2, metavar=("N", "FILE"), help="draw the N worst masks of the first model"
    )
    parser.add_argument(
        "--range",
        nargs=2,
        metavar=("N", "FILE"),
        help="draw N masks of its first clicks, evenly from the worst to the best",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write tables in Markdown."""
    items = read_items(arguments.images, arguments.labels, arguments.partial)
    items = [item for item in items if arguments.only in item.name]
    if not items:
        raise FramesError(f"No image has {arguments.only!r} in its name: choose another word.")
    results = {}
    for name, engine in _engines(arguments):
        results[name] = [_evaluated(engine, item) for item in items]
        engine.close()
        _write(f"\n## {name}\n\n{image_table(results[name])}\n\n{calibration_text(results[name])}")
    if len(results) > 1:
        _write(f"\n## Side by side\n\n{model_table(results)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(results), indent=1), encoding="utf-8")
    if arguments.worst:
        count, path = arguments.worst
        draw_worst(next(iter(results.values())), int(count), Path(path))
    if arguments.range:
        count, path = arguments.range
        draw_range(next(iter(results.values())), int(count), Path(path))
    return 0


def _engines(arguments: argparse.Namespace) -> Iterator[tuple[str, Engine]]:
    for model in arguments.model or ["embedded"]:
        yield model, Engine.load(model, device=arguments.device)
    for backend in classical_backends() if arguments.baselines else []:
        yield backend.name, Engine(backend)


def _evaluated(engine: Engine, item: Item) -> Result:
    sys.stderr.write(f"{engine.name}: {item.name}\n")
    return measure(engine, item)


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")

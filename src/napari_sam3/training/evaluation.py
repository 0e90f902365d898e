"""Measure models on images with ground truth, as users would use them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.io import imsave
from skimage.segmentation import find_boundaries
from skimage.transform import resize

from ..engine.engine import Engine
from ..values import FramesError
from .baselines import baselines
from .labelled_images import Item, read_items
from .metrics import Result, Trial, measure

TASKS = (
    "1 click",
    "1 click, best reading",
    "3 clicks",
    "5 clicks",
    "box",
    "box, best reading",
    "propagation",
    "through z",
    "through time",
    "everything",
)
TILE = 160
"""Side of one picture, in pixels."""
TRUTH, ANSWER = (0.1, 0.9, 0.2), (1.0, 0.2, 0.6)

Results = Mapping[str, Sequence[Result]]
"""By name of the model."""


def image_table(results: Sequence[Result]) -> str:
    """Return a Markdown table with a line per image and one per group of images."""
    rows = {result.item: result.scores for result in results}
    return _table("image", rows | _groups(results))


def model_table(results: Results) -> str:
    """Return a Markdown table with a line per model and group of images."""
    rows = {
        f"{model}, {group}": scores
        for model, own in results.items()
        for group, scores in _groups(own).items()
    }
    return _table("model", rows)


def as_json(results: Results) -> dict[str, Any]:
    """Return all figures, fit for JSON."""
    return {
        model: {
            "images": {result.item: result.scores for result in own},
            "groups": _groups(own),
            "calibration": calibration(own),
        }
        for model, own in results.items()
    }


def calibration(results: Sequence[Result]) -> dict[str, float]:
    """Say how far the model knows how good its first clicks' masks are.

    Returns
    -------
    dict
        "correlation" of predicted with true overlap, and "loss" from choosing by the predicted
        one among the readings instead of by the truth; as far as there is anything to compare.
    """
    trials = [trial for result in results for trial in result.trials if trial.task == "1 click"]
    true, predicted = ([t.overlap for t in trials], [t.predicted for t in trials])
    figures = {}
    if len(trials) > 1 and np.ptp(true) > 0 and np.ptp(predicted) > 0:
        figures["correlation"] = float(np.corrcoef(true, predicted)[0, 1])
    if trials:
        means = _groups(results)["all"]
        figures["loss"] = means["1 click, best reading"] - means["1 click"]
    return figures


def draw_worst(results: Sequence[Result], count: int, path: Path) -> None:
    """Write a picture of the worst trials: truth green, answer pink."""
    _draw(_by_overlap(results)[:count], path)


def draw_range(results: Sequence[Result], count: int, path: Path) -> None:
    """Write a picture of trials after one click, evenly spaced from the worst to the best."""
    trials = [trial for trial in _by_overlap(results) if trial.task == "1 click"]
    places = np.linspace(0, len(trials) - 1, min(count, len(trials)))
    _draw([trials[round(place)] for place in places], path)


def _by_overlap(results: Sequence[Result]) -> list[Trial]:
    trials = [trial for result in results for trial in result.trials]
    return sorted(trials, key=lambda trial: trial.overlap)


def _draw(trials: Sequence[Trial], path: Path) -> None:
    blank = np.ones((TILE, TILE, 3))
    tiles = [_tile(trial) for trial in trials] or [blank]
    columns = int(np.ceil(np.sqrt(len(tiles))))
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[first : first + columns]) for first in range(0, len(tiles), columns)]
    imsave(path, (np.vstack(rows) * 255).astype(np.uint8), check_contrast=False)


def _tile(trial: Trial) -> npt.NDArray[np.float64]:
    shape = (TILE, TILE)
    picture = np.asarray(resize(trial.image, (*shape, 3), order=1), np.float64)
    for mask, color in ((trial.truth, TRUTH), (trial.answer, ANSWER)):
        wide = resize(mask.astype(float), shape, order=1) > 0.5
        picture[find_boundaries(wide, mode="inner")] = color
    return np.clip(picture, 0, 1)


def _groups(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Average over the images of every group, each image with the same weight."""
    names = sorted({result.group for result in results if result.group})
    groups = {name: [result for result in results if result.group == name] for name in names}
    groups["all"] = list(results)
    return {name: _means(own) for name, own in groups.items()}


def _means(results: Sequence[Result]) -> dict[str, float]:
    scores = [result.scores for result in results]
    return {
        task: float(np.mean([one[task] for one in scores if task in one]))
        for task in TASKS
        if any(task in one for one in scores)
    }


def _table(head: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    tasks = [task for task in TASKS if any(task in row for row in rows.values())]
    lines = [f"| {head} | " + " | ".join(tasks) + " |", "|---|" + "---|" * len(tasks)]
    for name, row in rows.items():
        cells = [f"{row[task]:.3f}" if task in row else "" for task in tasks]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
    """Measure, and print tables in Markdown."""
    items = read_items(arguments.images, arguments.labels, arguments.partial)
    items = [item for item in items if arguments.only in item.name]
    if not items:
        raise FramesError(f"No image has {arguments.only!r} in its name: choose another word.")
    results = {}
    for name, engine in _engines(arguments):
        results[name] = [_measured(engine, item) for item in items]
        engine.close()
        _say(f"\n## {name}\n\n{image_table(results[name])}\n\n{_calibrated(results[name])}")
    if len(results) > 1:
        _say(f"\n## Side by side\n\n{model_table(results)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(results), indent=1), encoding="utf-8")
    if arguments.worst:
        count, path = arguments.worst
        draw_worst(next(iter(results.values())), int(count), Path(path))
    if arguments.range:
        count, path = arguments.range
        draw_range(next(iter(results.values())), int(count), Path(path))
    return 0


def measured(weights: Path, images: Path) -> str:
    """Measure weights on a folder of images with ground truth; returns tables in Markdown."""
    engine = Engine.load(weights)
    results = [_measured(engine, item) for item in read_items(images, None, [])]
    engine.close()
    return f"{image_table(results)}\n\n{_calibrated(results)}"


def _engines(arguments: argparse.Namespace) -> Iterator[tuple[str, Engine]]:
    for model in arguments.model or ["embedded"]:
        yield model, Engine.load(model, device=arguments.device)
    for backend in baselines() if arguments.baselines else []:
        yield backend.name, Engine(backend)


def _measured(engine: Engine, item: Item) -> Result:
    sys.stderr.write(f"{engine.name}: {item.name}\n")
    return measure(engine, item)


def _calibrated(results: list[Result]) -> str:
    figures = calibration(results)
    lines = []
    if "correlation" in figures:
        lines.append(f"Predicted and true overlap correlate by {figures['correlation']:.2f}.")
    if "loss" in figures:
        lines.append(f"Always choosing the best reading would gain {figures['loss']:.3f}.")
    return " ".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")

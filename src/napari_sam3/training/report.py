"""Tables and drawings of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.io import imsave
from skimage.segmentation import find_boundaries
from skimage.transform import resize

from .evaluation import Result, Trial

TASKS = (
    "1 click",
    "1 click, best hypothesis",
    "3 clicks",
    "5 clicks",
    "box",
    "box, best hypothesis",
    "propagation",
    "through z",
    "through time",
    "everything",
)
TILE = 160
"""Side of the drawing of a trial, in pixels."""
TRUTH_COLOR, MASK_COLOR = (0.1, 0.9, 0.2), (1.0, 0.2, 0.6)

Results = Mapping[str, Sequence[Result]]
"""By name of the model."""


def image_table(results: Sequence[Result]) -> str:
    """Return a Markdown table with a line per image and a line per group of images."""
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
    """Return how well the model predicts the quality of the masks after the first click.

    Returns
    -------
    dict
        "correlation" of predicted with true IoU, and "loss" of IoU by taking the mask hypothesis
        with the best score instead of the truly best; as far as there is anything to compare.
    """
    trials = [trial for result in results for trial in result.trials if trial.task == "1 click"]
    true, predicted = ([t.iou for t in trials], [t.predicted_iou for t in trials])
    figures = {}
    if len(trials) > 1 and np.ptp(true) > 0 and np.ptp(predicted) > 0:
        figures["correlation"] = float(np.corrcoef(true, predicted)[0, 1])
    if trials:
        means = _groups(results)["all"]
        figures["loss"] = means["1 click, best hypothesis"] - means["1 click"]
    return figures


def calibration_text(results: Sequence[Result]) -> str:
    """Return `calibration` in sentences."""
    figures = calibration(results)
    lines = []
    if "correlation" in figures:
        lines.append(f"Predicted and true overlap correlate by {figures['correlation']:.2f}.")
    if "loss" in figures:
        lines.append(f"Always taking the best hypothesis would gain {figures['loss']:.3f}.")
    return " ".join(lines)


def draw_worst(results: Sequence[Result], count: int, path: Path) -> None:
    """Draw the worst trials into an image file: truth green, mask pink."""
    _draw(_by_iou(results)[:count], path)


def draw_range(results: Sequence[Result], count: int, path: Path) -> None:
    """Draw trials after the first click, evenly spaced from the worst to the best."""
    trials = [trial for trial in _by_iou(results) if trial.task == "1 click"]
    positions = np.linspace(0, len(trials) - 1, min(count, len(trials)))
    _draw([trials[round(position)] for position in positions], path)


def _by_iou(results: Sequence[Result]) -> list[Trial]:
    trials = [trial for result in results for trial in result.trials]
    return sorted(trials, key=lambda trial: trial.iou)


def _draw(trials: Sequence[Trial], path: Path) -> None:
    blank = np.ones((TILE, TILE, 3))
    tiles = [_tile(trial) for trial in trials] or [blank]
    columns = int(np.ceil(np.sqrt(len(tiles))))
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[first : first + columns]) for first in range(0, len(tiles), columns)]
    imsave(path, (np.vstack(rows) * 255).astype(np.uint8), check_contrast=False)


def _tile(trial: Trial) -> npt.NDArray[np.float64]:
    shape = (TILE, TILE)
    image = np.asarray(resize(trial.image, (*shape, 3), order=1), np.float64)
    for mask, color in ((trial.truth, TRUTH_COLOR), (trial.mask, MASK_COLOR)):
        resized = resize(mask.astype(float), shape, order=1) > 0.5
        image[find_boundaries(resized, mode="inner")] = color
    return np.clip(image, 0, 1)


def _groups(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Average over the images of every group, each image with the same weight."""
    names = sorted({result.group for result in results if result.group})
    groups = {name: [result for result in results if result.group == name] for name in names}
    groups["all"] = list(results)
    return {name: _means(own) for name, own in groups.items()}


def _means(results: Sequence[Result]) -> dict[str, float]:
    scores = [result.scores for result in results]
    return {
        task: float(np.mean([own[task] for own in scores if task in own]))
        for task in TASKS
        if any(task in own for own in scores)
    }


def _table(head: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    tasks = [task for task in TASKS if any(task in row for row in rows.values())]
    lines = [f"| {head} | " + " | ".join(tasks) + " |", "|---|" + "---|" * len(tasks)]
    for name, row in rows.items():
        cells = [f"{row[task]:.3f}" if task in row else "" for task in tasks]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)

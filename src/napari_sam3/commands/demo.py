"""Segment and propagate three cells of a sample time-lapse, in a window or without."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engine import Engine
from ..io import Measurements, paint, write_labels, write_overview
from ..samples import Sample, dividing_cells
from ..values import Prompts

CELLS = 3
SHOWN = 9  # frames in the overview


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--headless", action="store_true", help="open no window, write files")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("napari-sam3-demo"),
        help="folder for the files when there is no window; default napari-sam3-demo",
    )
    parser.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda or mps, when there is no window; default auto",
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the demo, or write its files where no window can be opened."""
    if has_display() and not arguments.headless:
        from ..gui.demo import show

        show(cell_centres(dividing_cells()))
        return 0
    write(arguments.output, Engine.load(device=arguments.device))
    sys.stdout.write(f"labels.tif, measurements.csv and overview.png are in {arguments.output}\n")
    return 0


def has_display() -> bool:
    """Whether a window can be opened."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def write(folder: Path, engine: Engine) -> None:
    """Propagate the cells and write labels.tif, measurements.csv and overview.png."""
    folder.mkdir(parents=True, exist_ok=True)
    sample = dividing_cells()
    table = Measurements(folder / "measurements.csv")
    labels = np.zeros_like(sample.labels)
    session = engine.open(sample.image)
    for mask in session.propagate(first_prompts(sample)):
        paint(labels, mask)
        table.add(mask)
    session.close()
    write_labels(folder / "labels.tif", labels)
    frames = np.linspace(0, len(labels) - 1, SHOWN).round().astype(int)
    write_overview(folder / "overview.png", sample.image, labels, frames.tolist())


def first_prompts(sample: Sample) -> dict[tuple[int, int], Prompts]:
    """Return a point on each cell of the demo, on frame 0."""
    return {
        (0, number): Prompts(points=[centre])
        for number, centre in enumerate(cell_centres(sample), start=1)
    }


def cell_centres(sample: Sample) -> NDArray[np.float64]:
    """Return the centres of the cells of the demo on frame 0, (3, 2) as row, col in pixels.

    These cells do not divide during the time-lapse, and are the farthest from its border.
    """
    first, last = sample.labels[0], sample.labels[-1]
    lasting = np.intersect1d(first[first > 0], last)
    centres = np.array([np.argwhere(first == value).mean(axis=0) for value in lasting])
    from_border = np.minimum(centres, np.array(first.shape) - 1 - centres).min(axis=1)
    return centres[np.argsort(-from_border)[:CELLS]]

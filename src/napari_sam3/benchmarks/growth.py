"""How time and memory of the embedded model grow with frames, objects and pixels."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from numpy.typing import NDArray

from ..engine import Budgets, Engine, Frames, Prompts
from ..samples import dividing_cells
from .movies import back_and_forth, fitted, object_centres
from .stopwatch import peak_memory, timed

MEMORY = 16 * 10**6
"""Bytes of embeddings in memory: few enough to be full after ten small frames."""


def main() -> None:
    """Propagate as the command line says, and write the figures as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--side", type=int, required=True, help="of the square frames, pixels")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    engine = Engine.load("embedded", options.device, Budgets(MEMORY, MEMORY))
    session = engine.open(endless(options.frames, options.side))
    points = object_centres(dividing_cells(), (options.side, options.side), options.objects)
    prompts = {(0, n): Prompts(points=[point]) for n, point in enumerate(points, start=1)}
    session.segment_many(0, {n: own for (_, n), own in prompts.items()})
    areas: list[int] = []
    spent = timed(lambda: areas.extend(mask.area for mask in session.propagate(prompts)))
    propagated = 100 * sum(map(bool, areas)) / (options.frames * options.objects)
    figures = {
        "propagate": round(spent / options.frames, 2),
        "propagated": round(propagated, 1),
        "peak": round(peak_memory(), 1),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def endless(count: int, side: int) -> Frames:
    """Return a stack of square frames that are drawn when they are read."""
    sample, order = dividing_cells(), back_and_forth(count)

    def read(frame: int) -> NDArray[Any]:
        return fitted(sample.image[order[frame]], (side, side))[..., None]

    return Frames(count, (side, side), 1, read)


if __name__ == "__main__":
    main()

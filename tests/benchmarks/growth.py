"""How time and memory of the embedded model grow with frames, objects and pixels."""

from __future__ import annotations

import argparse
import json
import sys
from time import perf_counter
from typing import Any

from contest import peak
from movie import fitted, middles, there_and_back
from numpy.typing import NDArray

from napari_sam3.engine import Budgets, Engine, Frames, Prompts
from napari_sam3.samples import dividing_cells

MEMORY = 16 * 10**6
"""Bytes of embeddings in memory: few enough to be full after ten small frames."""


def main() -> None:
    """Follow as asked on the command line, and write the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--side", type=int, required=True, help="of the square frames, pixels")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    engine = Engine.load("embedded", asked.device, Budgets(MEMORY, MEMORY))
    session = engine.open(endless(asked.frames, asked.side))
    points = middles(dividing_cells(), (asked.side, asked.side), asked.objects)
    prompts = {(0, n): Prompts(points=[point]) for n, point in enumerate(points, start=1)}
    session.segment_many(0, {n: said for (_, n), said in prompts.items()})
    start = perf_counter()
    masks = sum(bool(mask.area) for mask in session.propagate(prompts))
    spent = 1000 * (perf_counter() - start) / asked.frames
    followed = 100 * masks / (asked.frames * asked.objects)
    figures = {"follow": round(spent, 2), "followed": round(followed, 1), "peak": round(peak(), 1)}
    sys.stdout.write(json.dumps(figures) + "\n")


def endless(count: int, side: int) -> Frames:
    """Return a stack of square frames that are drawn when they are read."""
    sample, order = dividing_cells(), there_and_back(count)

    def read(frame: int) -> NDArray[Any]:
        return fitted(sample.image[order[frame]], (side, side))[..., None]

    return Frames(count, (side, side), 1, read)


if __name__ == "__main__":
    main()

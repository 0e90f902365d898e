"""The least that a model must calculate and move, and how long this machine takes for that."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from contest import timed
from movie import fitted, middles
from ours import backend_of
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from napari_sam3.engine import Prompts
from napari_sam3.engine.backends.base import Backend
from napari_sam3.engine.backends.sam.precision import checked_precision
from napari_sam3.engine.devices import Precision
from napari_sam3.samples import dividing_cells

ROUNDS = 5  # of which the fastest counts
MATRIX = 2048  # rows and columns
MOVED = 2**28  # bytes, far more than any cache holds


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Something that a model does."""

    take: Callable[[], Any]
    nbytes: int  # of what comes in from outside, and of what is kept
    numbers: Precision  # in which it is calculated


def main() -> None:
    """Measure one model as asked on the command line, and write a line of JSON."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=1024, help="of the square image, pixels")
    parser.add_argument("--repeat", type=int, default=3, help="the median of so many times counts")
    asked = parser.parse_args()
    rates = machine(asked.device)
    steps = steps_of(backend_of(asked.model, asked.device), asked.side)
    figures = {name: measured(step, rates, asked.repeat) for name, step in steps.items()}
    sys.stdout.write(json.dumps({"machine": rates, **figures}) + "\n")


def steps_of(backend: Backend, side: int) -> dict[str, Step]:
    """Return the steps of a model that are looked at; the first pass through it is over."""
    sample = dividing_cells()
    grey = fitted(sample.image[0], (side, side)).astype(np.float32)
    image = np.repeat((grey / grey.max())[..., None], 3, axis=-1)
    asked = [Prompts(points=middles(sample, (side, side), 1))]
    embedding = backend.encode(image)
    mask = backend.segment(embedding, asked, [None])[0].pixels
    around = image.nbytes + embedding.nbytes
    return {
        "encode": Step(lambda: backend.encode(image), around, checked_precision(backend.device)),
        "click": Step(lambda: backend.segment(embedding, asked, [None]), mask.nbytes, "float32"),
    }


def measured(step: Step, rates: dict[str, float], repeat: int) -> dict[str, float]:
    """Count and time a step."""
    with _weights_read() as weights, FlopCounterMode(display=False) as counter:
        step.take()
    flops, nbytes = counter.get_total_flops(), step.nbytes + sum(weights.values())
    return {
        "flops": float(flops),
        "bytes": float(nbytes),
        "calculating": 1000 * flops / rates[step.numbers],
        "moving": 1000 * nbytes / rates["bytes"],
        "measured": float(np.median([timed(step.take) for _ in range(repeat)])),
    }


def machine(device: str) -> dict[str, float]:
    """Return how many operations, by their numbers, and bytes a second this machine manages."""
    source = torch.zeros(MOVED, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return {
        "float32": _matmul_rate(torch.float32, device),
        "bfloat16": _matmul_rate(torch.bfloat16, device),
        "bytes": _fastest(lambda: target.copy_(source), 2 * MOVED),
    }


def _matmul_rate(kind: torch.dtype, device: str) -> float:
    matrix = torch.randn(MATRIX, MATRIX, device=device).to(kind)
    return _fastest(lambda: matrix @ matrix, 2 * MATRIX**3)


def _fastest(step: Callable[[], Tensor], amount: int) -> float:
    def take() -> None:
        if step().device.type == "cuda":
            torch.cuda.synchronize()

    return 1000 * amount / min(timed(take) for _ in range(ROUNDS))


@contextmanager
def _weights_read() -> Iterator[dict[int, int]]:
    """Collect the bytes of all weights that are used meanwhile, by their place in memory."""
    places: dict[int, int] = {}

    def note(module: nn.Module, _inputs: Any, _output: Any) -> None:
        for weights in module.parameters(recurse=False):
            places[weights.data_ptr()] = weights.nbytes

    hook = register_module_forward_hook(note)
    yield places
    hook.remove()


if __name__ == "__main__":
    main()

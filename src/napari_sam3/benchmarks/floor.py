"""The least time for what a model must calculate and move on this machine."""

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
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from ..engine.backends.base import Backend
from ..engine.backends.sam.precision import checked_precision
from ..engine.devices import Precision
from ..samples import dividing_cells
from ..values import Prompts
from .contenders import load_engine_model
from .movies import fitted, grey_image, object_centres
from .stopwatch import timed

REPETITIONS = 5  # the fastest counts
MATRIX_SIDE = 2048  # rows and columns
MOVED_BYTES = 2**28  # bytes, far more than any cache holds


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A step of a model."""

    run: Callable[[], Any]
    nbytes: int  # of its input and its output
    precision: Precision  # in which it is calculated


def main() -> None:
    """Measure a model as the command line says, and write a line of JSON."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=1024, help="of the square image, pixels")
    parser.add_argument("--repeat", type=int, default=3, help="the median of so many times counts")
    options = parser.parse_args()
    rates = measure_rates(options.device)
    steps = model_steps(load_engine_model(options.model, options.device), options.side)
    figures = {name: measure_step(step, rates, options.repeat) for name, step in steps.items()}
    sys.stdout.write(json.dumps({"machine": rates, **figures}) + "\n")


def model_steps(backend: Backend, side: int) -> dict[str, Step]:
    """Return the steps of a model that are measured, after a first call, which is slower."""
    sample = dividing_cells()
    image = grey_image(fitted(sample.image[0], (side, side)))
    prompts = [Prompts(points=object_centres(sample, (side, side), 1))]
    embedding = backend.encode(image)
    mask = backend.segment(embedding, prompts, [None])[0].pixels
    nbytes = image.nbytes + embedding.nbytes
    return {
        "encode": Step(lambda: backend.encode(image), nbytes, checked_precision(backend.device)),
        "click": Step(lambda: backend.segment(embedding, prompts, [None]), mask.nbytes, "float32"),
    }


def measure_step(step: Step, rates: dict[str, float], repeat: int) -> dict[str, float]:
    """Count and time a step."""
    with _used_weights() as weights, FlopCounterMode(display=False) as counter:
        step.run()
    flops, nbytes = counter.get_total_flops(), step.nbytes + sum(weights.values())
    return {
        "flops": float(flops),
        "bytes": float(nbytes),
        "calculating": 1000 * flops / rates[step.precision],
        "moving": 1000 * nbytes / rates["bytes"],
        "measured": float(np.median([timed(step.run) for _ in range(repeat)])),
    }


def measure_rates(device: str) -> dict[str, float]:
    """Return how many operations, by their dtype, and bytes this machine manages in a second."""
    source = torch.zeros(MOVED_BYTES, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return {
        "float32": _matmul_rate(torch.float32, device),
        "bfloat16": _matmul_rate(torch.bfloat16, device),
        "bytes": _fastest(lambda: target.copy_(source), 2 * MOVED_BYTES),
    }


def _matmul_rate(dtype: torch.dtype, device: str) -> float:
    matrix = torch.randn(MATRIX_SIDE, MATRIX_SIDE, device=device).to(dtype)
    return _fastest(lambda: matrix @ matrix, 2 * MATRIX_SIDE**3)


def _fastest(step: Callable[[], Tensor], count: int) -> float:
    def run() -> None:
        if step().device.type == "cuda":
            torch.cuda.synchronize()

    return 1000 * count / min(timed(run) for _ in range(REPETITIONS))


@contextmanager
def _used_weights() -> Iterator[dict[int, int]]:
    """Collect the bytes of all weights that are used meanwhile, by their address in memory."""
    nbytes_by_address: dict[int, int] = {}

    def record(module: nn.Module, _inputs: Any, _output: Any) -> None:
        for weights in module.parameters(recurse=False):
            nbytes_by_address[weights.data_ptr()] = weights.nbytes

    hook = register_module_forward_hook(record)
    yield nbytes_by_address
    hook.remove()


if __name__ == "__main__":
    main()

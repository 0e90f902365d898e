"""Time and memory of steps, and the machine they are measured on."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np

MIB = 2**20


def timed(step: Callable[[], object]) -> float:
    """Return how many milliseconds a step takes."""
    start = perf_counter()
    step()
    return 1000 * (perf_counter() - start)


def median(figures: list[float]) -> float:
    """Return the median of some figures."""
    return float(np.median(figures))


def peak_memory() -> float:
    """Return the peak memory of the process so far, in MiB."""
    if sys.platform == "win32":
        import psutil  # is not in every environment with micro-sam

        return float(psutil.Process().memory_info().peak_wset) / MIB
    from resource import RUSAGE_SELF, getrusage  # is not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return getrusage(RUSAGE_SELF).ru_maxrss * unit / MIB


def machine(model: str, device: str) -> str:
    """Name the model and the machine that are measured."""
    return (
        f"Model {model} on {device}, {platform.platform()}, Python {platform.python_version()}.\n\n"
    )

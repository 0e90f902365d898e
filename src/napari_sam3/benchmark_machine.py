"""The machine that is measured on."""

from __future__ import annotations

import platform
import sys

import psutil

MIB = 2**20


def machine(model: str, device: str) -> str:
    """Name what was measured on."""
    return (
        f"Model {model} on {device}, {platform.platform()}, Python {platform.python_version()}.\n\n"
    )


def peak_memory() -> float:
    """Return what the process occupied at most so far, in MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / MIB
    from resource import RUSAGE_SELF, getrusage  # is not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return getrusage(RUSAGE_SELF).ru_maxrss * unit / MIB

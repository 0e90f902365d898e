"""Finding the brightness limits of a stack that nobody has looked at yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frames import Frames

Limits = tuple[float, float]
DARKEST, BRIGHTEST = 0.1, 99.9  # percentiles
PIXELS_USED = 2**18  # of a frame and channel; more change nothing


def estimated_limits(frames: Frames) -> list[Limits]:
    """Return limits for every channel, from at most three frames of the stack.

    Colour images keep their balance of colours: all their channels get the same limits.
    """
    sampled = frames.sample()
    if not frames.is_rgb:
        return [_limits([frame[..., i] for frame in sampled]) for i in range(frames.channels)]
    if sampled[0].dtype == np.uint8:
        return [(0.0, 255.0)] * 3
    low, high = _limits(sampled)
    is_unit = sampled[0].dtype.kind == "f" and low >= 0 and high <= 1
    return [(0.0, 1.0) if is_unit else (low, high)] * 3


def _limits(planes: list[NDArray[Any]]) -> Limits:
    values = [_measured(plane) for plane in planes]
    varied = [some for some in values if some.size and some[0] < some[-1]]
    pooled = np.sort(np.concatenate(varied or values))
    if not pooled.size:
        return 0.0, 1.0
    low = np.percentile(pooled, DARKEST, method="higher")
    high = np.percentile(pooled, BRIGHTEST, method="lower")
    if not low < high:
        low, high = pooled[0], pooled[-1]
    return (float(low), float(high)) if low < high else (float(low), float(low) + 1)


def _measured(plane: NDArray[Any]) -> NDArray[Any]:
    """Return some of the values, sorted, without those that stand for NaN and inf."""
    values = plane.ravel()
    values = values[:: max(1, values.size // PIXELS_USED)]
    if values.dtype.kind == "f":
        values = values[np.abs(values) < np.finfo(values.dtype).max]
    return np.sort(values)

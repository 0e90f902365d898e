"""Augmentation of images whose labels stay as they are: contrast limits, noise and blur."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .synthetic.appearance import RgbImage
from .synthetic.random_fields import blurred, log_uniform


def augmented(rng: np.random.Generator, frames: Sequence[RgbImage]) -> list[RgbImage]:
    """Show all frames of a stack with the same random contrast limits; values end in 0..1."""
    low, high = _window(rng)
    gamma = np.exp(rng.normal() * 0.35) if rng.random() < 0.3 else 1.0
    inverted = rng.random() < 0.1
    grey = rng.random() < 0.1
    images = []
    for frame in frames:
        frame = _degraded(rng, frame)
        frame = frame.mean(0, keepdims=True).repeat(3, 0) if grey else frame
        frame = np.clip(low + (high - low) * frame, 0, 1) ** gamma
        images.append(np.asarray(1 - frame if inverted else frame, np.float32))
    return images


def _window(rng: np.random.Generator) -> tuple[float, float]:
    """Draw where the darkest and the brightest structure lie in the range of the display, 0..1."""
    kind = rng.choice(4, p=(0.55, 0.2, 0.12, 0.13))
    if kind == 0:
        return rng.uniform(-0.06, 0.06), rng.uniform(0.85, 1.1)
    if kind == 1:
        return rng.uniform(0, 0.03), log_uniform(rng, 0.15, 0.8)
    if kind == 2:
        return rng.uniform(-0.2, 0), rng.uniform(1.1, 1.5)
    low = rng.uniform(0, 0.6)
    return low, low + rng.uniform(0.2, 1) * (1 - low)


def _degraded(rng: np.random.Generator, frame: RgbImage) -> RgbImage:
    """Add noise, blur or the coarse pixels of an enlarged image."""
    if rng.random() < 0.25:
        noise = rng.standard_normal(frame.shape[1:], dtype=np.float32)
        frame = frame + noise * log_uniform(rng, 0.005, 0.1)
    if rng.random() < 0.1:
        radius = rng.uniform(0.4, 1.5)
        frame = np.stack([blurred(channel, radius) for channel in frame])
    if rng.random() < 0.08:
        enlarged = frame[:, ::2, ::2].repeat(2, 1).repeat(2, 2)
        frame = np.stack([blurred(channel, 0.7) for channel in enlarged])
    return frame

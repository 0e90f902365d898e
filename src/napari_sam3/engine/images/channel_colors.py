"""The colours channels have before anybody chooses others."""

from __future__ import annotations

import colorsys

from .frames import Frames

Color = tuple[float, float, float]
RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
MAGENTA, CYAN, YELLOW, WHITE = (1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0)


def default_colors(frames: Frames) -> list[Color]:
    """Return a colour for every channel, no two alike."""
    if frames.is_rgb:
        return [RED, GREEN, BLUE]
    if frames.channels == 1:
        return [WHITE]
    if frames.channels == 2:
        return [GREEN, MAGENTA]
    usual = [BLUE, GREEN, RED, MAGENTA, CYAN, YELLOW]
    if frames.channels <= len(usual):
        return usual[: frames.channels]
    return [colorsys.hsv_to_rgb(i / frames.channels, 1, 1) for i in range(frames.channels)]

"""The contrast of a stack: one setting of limits and colours for all its frames."""

from __future__ import annotations

import colorsys
import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...values import FramesError
from .frames import Frames

Limits = tuple[float, float]
DARKEST, BRIGHTEST = 0.1, 99.9  # percentiles
PIXELS_USED = 2**18  # of a frame and channel; more change nothing

Color = tuple[float, float, float]
RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
MAGENTA, CYAN, YELLOW, WHITE = (1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0)

Blending = Literal["additive", "over"]
SHADES = 256


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Channel:
    """How one channel is shown.

    Parameters
    ----------
    limits : tuple of float
        The values shown as the first and as the last colour.
    colors : (256, 3) or (3,) array of float
        Colours in 0..1 from the lowest value to the highest, or the colour of the highest, to
        which a straight line leads from black.
    gamma : float
        Exponent of the brightness.
    opacity : float
        How much it hides what is beneath, 0..1; a hidden channel has 0.
    blending : str
        Whether it adds to the channels before it, or lies over them.
    """

    limits: tuple[float, float]
    colors: NDArray[np.float32]  # (256, 3), read-only
    gamma: float
    opacity: float
    blending: Blending

    def __init__(
        self,
        limits: tuple[float, float],
        colors: ArrayLike = (1, 1, 1),
        gamma: float = 1.0,
        opacity: float = 1.0,
        blending: Blending = "additive",
    ) -> None:
        object.__setattr__(self, "limits", (float(limits[0]), float(limits[1])))
        object.__setattr__(self, "colors", _table(colors))
        object.__setattr__(self, "gamma", float(gamma))
        object.__setattr__(self, "opacity", float(opacity))
        object.__setattr__(self, "blending", blending)

    @property
    def is_straight(self) -> bool:
        """Whether the colours go straight from black to one colour, so that grey shows as much."""
        return bool(np.allclose(self.colors, _table(self.colors[-1]), atol=2 / SHADES))

    def level(self, plane: NDArray[Any]) -> NDArray[np.float32]:
        """Return the brightness of the pixels (H, W) between the limits, in 0..1."""
        low, high = self.limits
        span = high - low if high > low else 1.0
        exact = np.result_type(plane.dtype, np.float32)
        level = np.clip(plane.astype(exact), low, low + span)
        level = np.clip((level - low) / span, 0, 1).astype(np.float32, copy=False)
        return level if self.gamma == 1 else level**self.gamma

    def colored(self, plane: NDArray[Any]) -> NDArray[np.float32]:
        """Return the pixels (H, W) in the channel's colours, (H, W, 3)."""
        level = self.level(plane)
        if self.is_straight:
            return level[..., None] * self.colors[-1]
        return self.colors[np.rint(level * (SHADES - 1)).astype(np.uint8)]


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """How the channels of a stack are shown together, the lowest first."""

    channels: tuple[Channel, ...]
    token: str = field(init=False)  # names this setting; two that show the same have the same

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", _token(self.channels))

    @classmethod
    def estimate(cls, frames: Frames) -> Self:
        """Choose limits and colours from at most three frames of a stack."""
        limits = estimated_limits(frames)
        colors = default_colors(frames)
        return cls(tuple(map(Channel, limits, colors)))

    def compose(self, frame: NDArray[Any]) -> NDArray[np.float32]:
        """Show a frame (H, W, C) as an image (H, W, 3) in 0..1.

        If a single channel is visible, and its colours go straight from black to one colour, the
        image is grey.
        """
        if frame.shape[2] != len(self.channels):
            raise FramesError(
                f"The contrast is set for {len(self.channels)} channels, but the frame has "
                f"{frame.shape[2]}: set it again for this image."
            )
        visible = [index for index, channel in enumerate(self.channels) if channel.opacity > 0]
        if len(visible) == 1 and self.channels[visible[0]].is_straight:
            channel = self.channels[visible[0]]
            level = channel.level(frame[..., visible[0]]) * np.float32(channel.opacity)
            return np.repeat(level[..., None], 3, axis=2)
        return self._blended(frame, visible)

    def _blended(self, frame: NDArray[Any], visible: list[int]) -> NDArray[np.float32]:
        canvas = np.zeros((*frame.shape[:2], 3), np.float32)
        for index in visible:
            channel = self.channels[index]
            if channel.blending == "over":
                canvas *= 1 - channel.opacity
            canvas += channel.colored(frame[..., index]) * np.float32(channel.opacity)
        return np.clip(canvas, 0, 1, out=canvas)


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


def default_colors(frames: Frames) -> list[Color]:
    """Return a colour for every channel, all of them different."""
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


def describe_contrast(contrast: Contrast) -> list[dict[str, Any]]:
    """Return the settings of every channel, fit for JSON."""
    return [
        {
            "limits": channel.limits,
            "gamma": channel.gamma,
            "opacity": channel.opacity,
            "blending": channel.blending,
            "colors": (channel.colors[-1] if channel.is_straight else channel.colors).tolist(),
        }
        for channel in contrast.channels
    ]


def _token(channels: tuple[Channel, ...]) -> str:
    digest = hashlib.sha256()
    for channel in channels:
        numbers = (channel.limits, channel.gamma, channel.opacity, channel.blending)
        digest.update(repr(numbers).encode())
        digest.update(channel.colors.tobytes())
    return digest.hexdigest()[:16]


def _table(colors: ArrayLike) -> NDArray[np.float32]:
    """Return a colour table, (256, 3)."""
    table = np.array(colors, np.float32)
    if table.shape == (3,):
        table = np.linspace(0, 1, SHADES, dtype=np.float32)[:, None] * table
    if table.shape != (SHADES, 3):
        raise ValueError(f"Colours have the shape (3,) or ({SHADES}, 3), not {table.shape}.")
    table.setflags(write=False)
    return table


def _limits(planes: list[NDArray[Any]]) -> Limits:
    values = [_sorted_sample(plane) for plane in planes]
    varied = [sample for sample in values if sample.size and sample[0] < sample[-1]]
    pooled = np.sort(np.concatenate(varied or values))
    if not pooled.size:
        return 0.0, 1.0
    low = np.percentile(pooled, DARKEST, method="higher")
    high = np.percentile(pooled, BRIGHTEST, method="lower")
    if not low < high:
        low, high = pooled[0], pooled[-1]
    return (float(low), float(high)) if low < high else (float(low), float(low) + 1)


def _sorted_sample(plane: NDArray[Any]) -> NDArray[Any]:
    """Return some of the values, sorted, without those that stand for NaN and inf."""
    values = plane.ravel()
    values = values[:: max(1, values.size // PIXELS_USED)]
    if values.dtype.kind == "f":
        values = values[np.abs(values) < np.finfo(values.dtype).max]
    return np.sort(values)

"""What the user sees of a stack: one setting of limits and colours for all its frames."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FramesError
from .channel_colors import default_colors
from .channel_limits import estimated_limits
from .frames import Frames

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
        Colours in 0..1 from the lowest value to the highest, or the one of the highest, to
        which a straight line leads from black.
    gamma : float
        Exponent of the brightness.
    opacity : float
        How much it covers, 0..1; a hidden channel has 0.
    blending : str
        Whether it adds to the channels before it, or covers them.
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
        """Whether the colours go straight from black to one colour, and so carry nothing."""
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

    @classmethod
    def estimate(cls, frames: Frames) -> Self:
        """Choose limits and colours from at most three frames of a stack."""
        limits = estimated_limits(frames)
        colors = default_colors(frames)
        return cls(tuple(map(Channel, limits, colors)))

    @property
    def token(self) -> str:
        """Name this setting; two that show the same have the same."""
        digest = hashlib.sha256()
        for channel in self.channels:
            numbers = (channel.limits, channel.gamma, channel.opacity, channel.blending)
            digest.update(repr(numbers).encode())
            digest.update(channel.colors.tobytes())
        return digest.hexdigest()[:16]

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
        visible = [index for index, one in enumerate(self.channels) if one.opacity > 0]
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


def _table(colors: ArrayLike) -> NDArray[np.float32]:
    given = np.array(colors, np.float32)
    if given.shape == (3,):
        given = np.linspace(0, 1, SHADES, dtype=np.float32)[:, None] * given
    if given.shape != (SHADES, 3):
        raise ValueError(f"Colours have the shape (3,) or ({SHADES}, 3), not {given.shape}.")
    given.setflags(write=False)
    return given

"""An image file that is open and of which nothing is read yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam3.engine import FrameLevel, Frames, FramesError

from .geometry import Geometry

_PIXELS = "yx"
_COLOURS = "cs"  # channels; samples of a colour image


@dataclass(frozen=True, slots=True, eq=False)
class OpenedImage:
    """The sizes in which a file holds an image, with what it says of them."""

    name: str
    levels: tuple[Any, ...]  # arrays with a shape, a dtype and slices, the finest first
    axes: str  # a small letter for each: y and x, c or s for channels, z, t, or any other
    scale: tuple[float, ...]  # size of a pixel of the finest level along each axis
    units: tuple[str, ...]  # of each axis; "pixel" where there is none
    translation: tuple[float, ...] = ()  # centre of its first pixel along each axis; none is 0
    close: Callable[[], None] = lambda: None  # lets go of the file

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(int(length) for length in self.levels[0].shape)

    @property
    def is_rgb(self) -> bool:
        """Whether its last axis is red, green and blue."""
        return self.axes.endswith("s") and self.shape[-1] in (3, 4)

    @property
    def frame_axis(self) -> int | None:
        """The axis that a stack of it runs along; None for a single picture.

        Raises
        ------
        FramesError
            If there are several.
        """
        long = [axis for axis in self._others if self.shape[axis] > 1]
        if len(long) > 1:
            said = ", ".join(f"{self.axes[axis]} ({self.shape[axis]})" for axis in long)
            raise FramesError(
                f"{self.name} is a stack along several axes: {said}. Save one of its stacks as a "
                "file of its own, or open it in napari."
            )
        return long[0] if long else next(iter(self._others), None)

    @property
    def geometry(self) -> Geometry:
        """Where the frames lie: rows and columns, and before them the frames of a stack."""
        kept = [self.axes.index(name) for name in _PIXELS]
        axis, letters = self.frame_axis, _PIXELS
        if axis is not None and self.shape[axis] > 1:
            kept, letters = [axis, *kept], ("z" if self.axes[axis] == "z" else "t") + _PIXELS
        moved = self.translation or (0.0,) * len(self.axes)
        return Geometry(
            letters,
            tuple(self.scale[at] for at in kept),
            tuple(moved[at] for at in kept),
            tuple(self.units[at] for at in kept),
        )

    def frames(self) -> Frames:
        """Return it as a stack, (F, H, W, C), of which the engine reads what it needs."""
        sizes = [self._level(array) for array in self.levels]
        axis, first = self.frame_axis, sizes[0]
        rows, cols = (slice(0, side) for side in first.shape)
        return Frames(
            1 if axis is None else self.shape[axis],
            first.shape,
            self._channels,
            lambda frame: first.read(frame, rows, cols),
            self.is_rgb,
            sizes,
        )

    @property
    def _others(self) -> list[int]:
        return [axis for axis, name in enumerate(self.axes) if name not in _PIXELS + _COLOURS]

    @property
    def _channels(self) -> int:
        if self.is_rgb:
            return 3
        counts = [self.shape[axis] for axis, name in enumerate(self.axes) if name in _COLOURS]
        return int(np.prod(counts))

    def _level(self, array: Any) -> FrameLevel:
        frame_axis, channels = self.frame_axis, self._channels
        order = [name for name in self.axes if name in _PIXELS + _COLOURS]
        target = [order.index("y"), order.index("x")]
        target += [at for at, name in enumerate(order) if name in _COLOURS]

        def read(frame: int, rows: slice, cols: slice) -> NDArray[Any]:
            parts = {"y": rows, "x": cols, "c": slice(None), "s": slice(None)}
            where = [parts.get(name, 0) for name in self.axes]
            if frame_axis is not None:
                where[frame_axis] = frame
            pixels = np.asarray(array[tuple(where)]).transpose(target)
            return pixels.reshape(*pixels.shape[:2], -1)[..., :channels]

        rows, cols = (int(array.shape[self.axes.index(name)]) for name in _PIXELS)
        return FrameLevel((rows, cols), read)

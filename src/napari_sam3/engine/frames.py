"""A stack of images, read lazily, one frame at a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .errors import FramesError
from .windows import Window

MIN_SIDE = 5
"""Fewer rows or columns are not an image: an axis of up to 4 is read as colours, and a shorter
one is nearly always z, time or channels looked at along the wrong axis."""


class Frames:
    """A stack of images of one shape, of which one frame is read at a time.

    Parameters
    ----------
    count : int
        Number of frames.
    shape : tuple of int
        Height and width of a frame in pixels.
    channels : int
        Number of channels.
    read : callable
        Returns the frame of an index, (H, W, C), of any integer or float type.
    is_rgb : bool
        Whether the three channels are the red, green and blue of a colour image.

    Attributes
    ----------
    token : str
        Names the opened data; no other frames have it.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int],
        channels: int,
        read: Callable[[int], NDArray[Any]],
        is_rgb: bool = False,
    ) -> None:
        _check_size(count, shape, channels)
        self.count = count
        self.shape = shape
        self.channels = channels
        self.is_rgb = is_rgb
        self.token = uuid.uuid4().hex
        self._read = read
        self._sampled: dict[int, NDArray[Any]] = {}

    @classmethod
    def from_array(cls, data: Any) -> Self:
        """Open an array that has a shape, a dtype and slices, such as numpy's, dask's or zarr's.

        Parameters
        ----------
        data : (H, W), (F, H, W) or (F, H, W, C) array
            A last axis of 3 or 4 after two others is taken for the colours of a single image,
            (H, W, 3) or (H, W, 4), since no stack is that narrow; its alpha is dropped. Every
            frame is read as one ``data[i]``.
        """
        _check_dtype(np.dtype(data.dtype))
        shape = tuple(int(side) for side in data.shape)
        match shape:
            case (rows, cols):
                return cls(1, (rows, cols), 1, lambda _: np.asarray(data[:])[..., None])
            case (rows, cols, 3 | 4):
                return cls(1, (rows, cols), 3, lambda _: np.asarray(data[:])[..., :3], True)
            case (count, rows, cols):
                return cls(count, (rows, cols), 1, lambda i: np.asarray(data[i])[..., None])
            case (count, rows, cols, channels):
                is_rgb = channels == 3 and data.dtype == np.uint8
                return cls(count, (rows, cols), channels, lambda i: np.asarray(data[i]), is_rgb)
        raise FramesError(
            f"An image of shape {shape} cannot be read as a stack: its axes are to be (rows, "
            "columns), (frames, rows, columns) or (frames, rows, columns, channels)."
        )

    def __len__(self) -> int:
        return self.count

    def check(self, frame: int) -> None:
        """Refuse a frame that is not in the stack."""
        if not 0 <= frame < self.count:
            raise FramesError(
                f"There is no frame {frame}: the stack has frames 0 to {self.count - 1}."
            )

    def read(self, frame: int) -> NDArray[Any]:
        """Read one frame, (H, W, C), in the type it is stored in.

        All values are finite: NaN and -inf become the lowest value of the type, inf the highest.
        True and False become 1 and 0.
        """
        self.check(frame)
        sampled = self._sampled.pop(frame, None)
        return self._fetch(frame) if sampled is None else sampled

    def read_window(self, frame: int, window: Window) -> NDArray[Any]:
        """Read a part of a frame, (h, w, C), at the level of the window."""
        rows = slice(window.top, window.top + window.height)
        return self.read(frame)[rows, window.left : window.left + window.width]

    def sample(self) -> list[NDArray[Any]]:
        """Read the first, the middle and the last frame, each (H, W, C).

        They are held until they are read for the first time, so that no frame is fetched twice.
        """
        for frame in {0, self.count // 2, self.count - 1} - self._sampled.keys():
            self._sampled[frame] = self._fetch(frame)
        return list(self._sampled.values())

    def _fetch(self, frame: int) -> NDArray[Any]:
        try:
            pixels = self._read(frame)
        except (OSError, ValueError, RuntimeError, LookupError) as error:
            raise FramesError(
                f"Frame {frame} cannot be read ({error}). Check that its file is still there "
                "and whole, then open the image again."
            ) from error
        if pixels.shape != (*self.shape, self.channels):
            raise FramesError(
                f"Frame {frame} has the shape {pixels.shape} instead of "
                f"{(*self.shape, self.channels)}: open the image again."
            )
        return _finite(pixels)


def _check_size(count: int, shape: tuple[int, int], channels: int) -> None:
    if min(count, *shape, channels) < 1:
        raise FramesError(
            f"The image is empty: it has {count} frames of {shape[0]} x {shape[1]} pixels in "
            f"{channels} channels. Choose another image."
        )
    if min(shape) < MIN_SIDE:
        raise FramesError(
            f"A frame of {shape[0]} x {shape[1]} pixels is too narrow to outline anything: an "
            f"image needs at least {MIN_SIDE} rows and columns. Choose another stack axis."
        )


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "buif":
        raise FramesError(
            f"An image of type {dtype} cannot be shown to a model: convert it to integers or "
            "floats first."
        )


def _finite(pixels: NDArray[Any]) -> NDArray[Any]:
    _check_dtype(pixels.dtype)
    if pixels.dtype.kind == "b":
        return pixels.view(np.uint8)
    if pixels.dtype.kind != "f" or np.isfinite(pixels).all():
        return pixels
    limits = np.finfo(pixels.dtype)
    return np.nan_to_num(pixels, nan=float(limits.min), neginf=limits.min, posinf=limits.max)

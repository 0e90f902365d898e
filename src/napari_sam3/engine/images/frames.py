"""A stack of images, read lazily, one frame or a part of one at a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...values import Box, FramesError, is_large

BLOCK = 2048
"""Side of what is read at once where a level has to be downsampled, in pixels."""
MIN_SIDE = 5
"""Fewer rows or columns are not an image: an axis of up to 4 is taken for colours, and a shorter
one is nearly always z, time or channels along the wrong axis."""
SAMPLES_PER_SIDE, SAMPLE_SIDE = 3, 256
"""So many parts along either side, so many pixels wide, tell how bright a large frame is."""

Edges = NDArray[np.int64]
Spans = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class FrameLevel:
    """One size in which the frames of a stack are stored."""

    shape: tuple[int, int]  # (H, W)
    read: Callable[[int, slice, slice], NDArray[Any]]  # frame, rows, columns -> (h, w, C)


def no_frame(frame: int, count: int) -> FramesError:
    """Return the error that a stack of so many frames does not have this one."""
    return FramesError(f"There is no frame {frame}: the stack has frames 0 to {count - 1}.")


class Frames:
    """A stack of images of one shape, of which one frame or a part of one is read at a time.

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
    levels : sequence of FrameLevel, optional
        The sizes in which every frame is stored, finest first; the first is the frame itself.
        Without them, a part of a frame is cut out of what ``read`` returns.

    Attributes
    ----------
    token : str
        Names the opened data; no other frames have it.
    is_large : bool
        Whether a frame has too many pixels to be encoded as a whole.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int],
        channels: int,
        read: Callable[[int], NDArray[Any]],
        is_rgb: bool = False,
        levels: Sequence[FrameLevel] | None = None,
    ) -> None:
        _check_size(count, shape, channels)
        self.count = count
        self.shape = shape
        self.channels = channels
        self.is_rgb = is_rgb
        self.is_large = is_large(shape)
        self.token = uuid.uuid4().hex
        self._read = read
        self._stored = tuple(levels or [_cut_out(shape, read)])
        self._sampled: dict[int, NDArray[Any]] = {}

    @classmethod
    def from_array(cls, data: Any) -> Self:
        """Open an array that has a shape, a dtype and slices, such as numpy's, dask's or zarr's.

        Parameters
        ----------
        data : (H, W), (F, H, W) or (F, H, W, C) array
            A last axis of 3 or 4 after two others is taken for the colours of a single image,
            (H, W, 3) or (H, W, 4), since no stack is that narrow; its alpha is dropped. Every
            frame is read as one ``data[i]``, and a part of it as ``data[i, rows, columns]``.
        """
        return cls.from_levels([data])

    @classmethod
    def from_levels(cls, arrays: Sequence[Any]) -> Self:
        """Open a stack that is stored in several sizes, such as the levels of an OME-Zarr.

        Parameters
        ----------
        arrays : sequence of arrays as in `from_array`
            The same stack ever coarser, the finest first. Rows and columns may shrink by any
            factor; the other axes stay.
        """
        stacks = stacks_of(arrays)
        whole, levels = stacks[0], [stack.level for stack in stacks]
        return cls(whole.count, whole.shape, whole.channels, whole.read, whole.is_rgb, levels)

    def __len__(self) -> int:
        return self.count

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of every stored size, finest first."""
        return tuple(level.shape for level in self._stored)

    def check(self, frame: int) -> None:
        """Refuse a frame that is not in the stack."""
        if not 0 <= frame < self.count:
            raise no_frame(frame, self.count)

    def read(self, frame: int) -> NDArray[Any]:
        """Read one frame, (H, W, C), in the type it is stored in.

        All values are finite: NaN and -inf become the lowest value of the type, inf the highest.
        True and False become 1 and 0.
        """
        self.check(frame)
        sampled = self._sampled.pop(frame, None)
        return self._fetch(frame) if sampled is None else sampled

    def read_window(self, frame: int, window: Window) -> NDArray[Any]:
        """Read a part of a frame, (h, w, C), at the level of the window.

        It comes from the coarsest stored level that is fine enough. Where that is finer, its
        pixels are averaged, block by block, into floats.
        """
        self.check(frame)
        level = nearest_finer(self._stored, window.level)
        edges = window_edges(window, self.shape, level)
        if all((np.diff(borders) == 1).all() for borders in edges):
            rows, cols = (slice(int(borders[0]), int(borders[-1])) for borders in edges)
            return self._part(frame, level, (rows, cols))
        parts = [
            (block.target, averaged(self._part(frame, level, block.source), block.edges))
            for block in blocks(*edges)
        ]
        pixels = np.empty((*window.shape, self.channels), parts[0][1].dtype)
        for target, part in parts:
            pixels[target] = part
        return _finite(pixels)

    def sample(self) -> list[NDArray[Any]]:
        """Read the first, the middle and the last frame, each (H, W, C).

        They are held until they are read for the first time, so that no frame is fetched twice.
        Of large frames, the coarsest stored size is read instead, or some parts all over the frame.
        """
        frames = {0, self.count // 2, self.count - 1}
        if self.is_large:
            return [self._sample_large(frame) for frame in sorted(frames)]
        for frame in frames - self._sampled.keys():
            self._sampled[frame] = self._fetch(frame)
        return list(self._sampled.values())

    def first(self) -> NDArray[Any]:
        """Read the first frame, (H, W, C), or the middle of a large one, (h, w, C).

        It is held until it is read for the first time, as `sample` does.
        """
        if self.is_large:
            rows, cols = (_sampled_spans(side)[SAMPLES_PER_SIDE // 2] for side in self.shape)
            return self._part(0, self._stored[0], (rows, cols))
        held = self._sampled.get(0)
        if held is None:
            held = self._sampled[0] = self._fetch(0)
        return held

    def _sample_large(self, frame: int) -> NDArray[Any]:
        """Read what tells how bright a large frame is, (h, w, C)."""
        coarsest = self._stored[-1]
        if not is_large(coarsest.shape):
            rows, cols = (slice(0, side) for side in coarsest.shape)
            return self._part(frame, coarsest, (rows, cols))
        tops, lefts = (_sampled_spans(side) for side in self.shape)
        return np.concatenate(
            [self._part(frame, self._stored[0], (top, left)) for top in tops for left in lefts],
            axis=1,
        )

    def _fetch(self, frame: int) -> NDArray[Any]:
        return self._checked(frame, self.shape, lambda: self._read(frame))

    def _part(self, frame: int, level: FrameLevel, spans: Spans) -> NDArray[Any]:
        shape = (spans[0].stop - spans[0].start, spans[1].stop - spans[1].start)
        return self._checked(frame, shape, lambda: level.read(frame, *spans))

    def _checked(
        self, frame: int, shape: tuple[int, int], read: Callable[[], NDArray[Any]]
    ) -> NDArray[Any]:
        try:
            pixels = read()
        except (OSError, ValueError, RuntimeError, LookupError) as error:
            raise FramesError(
                f"Frame {frame} cannot be read ({error}). Check that its file is still there "
                "and whole, then open the image again."
            ) from error
        if pixels.shape != (*shape, self.channels):
            raise FramesError(
                f"Frame {frame} has the shape {pixels.shape} instead of "
                f"{(*shape, self.channels)}: open the image again."
            )
        return _finite(pixels)


def _cut_out(shape: tuple[int, int], read: Callable[[int], NDArray[Any]]) -> FrameLevel:
    return FrameLevel(shape, lambda frame, rows, cols: read(frame)[rows, cols])


def _sampled_spans(side: int) -> list[slice]:
    """Return spans of a side of a frame, evenly distributed over it."""
    width = min(side, SAMPLE_SIDE)
    starts = np.linspace(0, side - width, 2 * SAMPLES_PER_SIDE + 1)[1::2].astype(int)
    return [slice(start, start + width) for start in starts.tolist()]


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


def _finite(pixels: NDArray[Any]) -> NDArray[Any]:
    check_dtype(pixels.dtype)
    if pixels.dtype.kind == "b":
        return pixels.view(np.uint8)
    if pixels.dtype.kind != "f" or np.isfinite(pixels).all():
        return pixels
    limits = np.finfo(pixels.dtype)
    return np.nan_to_num(pixels, nan=float(limits.min), neginf=limits.min, posinf=limits.max)


@dataclass(frozen=True, slots=True)
class Stack:
    """An array that is read frame by frame, or in parts of a frame."""

    count: int
    channels: int
    is_rgb: bool
    read: Callable[[int], NDArray[Any]]  # frame -> (H, W, C)
    level: FrameLevel

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        return self.level.shape


def stack_of(data: Any) -> Stack:
    """Return an array (H, W), (F, H, W), (F, H, W, C) or (H, W, 3 | 4) with its axes named."""
    check_dtype(np.dtype(data.dtype))
    shape = tuple(int(side) for side in data.shape)
    match shape:
        case (rows, cols):
            return _gray_image(data, (rows, cols))
        case (rows, cols, 3 | 4):
            return _color_image(data, (rows, cols))
        case (count, rows, cols):
            return _gray_stack(data, count, (rows, cols))
        case (count, rows, cols, channels):
            return _channel_stack(data, count, (rows, cols), channels)
    raise FramesError(
        f"An image of shape {shape} cannot be read as a stack: its axes are to be (rows, "
        "columns), (frames, rows, columns) or (frames, rows, columns, channels)."
    )


def stacks_of(arrays: Sequence[Any]) -> list[Stack]:
    """Return arrays that hold the same stack ever coarser, the finest first, with axes named.

    Raises
    ------
    FramesError
        If they do not fit together.
    """
    stacks = [stack_of(data) for data in arrays]
    if not stacks:
        raise FramesError("The image has no levels: choose another image.")
    for finer, coarser in pairwise(stacks):
        is_same = (finer.count, finer.channels) == (coarser.count, coarser.channels)
        if not is_same or max(np.subtract(coarser.shape, finer.shape)) > 0:
            raise FramesError(
                f"The levels of the image do not fit together: {finer.count} frames of "
                f"{finer.shape} pixels are followed by {coarser.count} of {coarser.shape}. Open "
                "its finest level alone."
            )
    return stacks


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Refuse values that have no brightness."""
    if dtype.kind not in "buif":
        raise FramesError(
            f"An image of type {dtype} cannot be shown to a model: convert it to integers or "
            "floats first."
        )


def _gray_image(data: Any, shape: tuple[int, int]) -> Stack:
    def part(_: int, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(data[rows, cols])[..., None]

    return Stack(1, 1, False, lambda _: np.asarray(data[:])[..., None], FrameLevel(shape, part))


def _color_image(data: Any, shape: tuple[int, int]) -> Stack:
    def part(_: int, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(data[rows, cols])[..., :3]

    return Stack(1, 3, True, lambda _: np.asarray(data[:])[..., :3], FrameLevel(shape, part))


def _gray_stack(data: Any, count: int, shape: tuple[int, int]) -> Stack:
    def part(frame: int, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(data[frame, rows, cols])[..., None]

    def whole(frame: int) -> NDArray[Any]:
        return np.asarray(data[frame])[..., None]

    return Stack(count, 1, False, whole, FrameLevel(shape, part))


def _channel_stack(data: Any, count: int, shape: tuple[int, int], channels: int) -> Stack:
    def part(frame: int, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(data[frame, rows, cols])

    is_rgb = channels == 3 and data.dtype == np.uint8
    whole = FrameLevel(shape, part)
    return Stack(count, channels, is_rgb, lambda frame: np.asarray(data[frame]), whole)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A part of a window that is read at once."""

    target: Spans  # rows and columns of the window
    source: Spans  # rows and columns of the level
    edges: tuple[Edges, Edges]  # borders between the window's pixels, counted from the source


def nearest_finer(levels: Sequence[FrameLevel], level: int) -> FrameLevel:
    """Return the coarsest of the stored levels, finest first, that is as fine as a window level."""
    rows, cols = levels[0].shape
    fine = [
        stored
        for stored in levels
        if max(rows / (stored.shape[0] + 1), cols / (stored.shape[1] + 1)) < 1 << level
    ]
    return (fine or levels[:1])[-1]


def window_edges(window: Window, shape: tuple[int, int], level: FrameLevel) -> tuple[Edges, Edges]:
    """Return where the pixels of a window of a frame (H, W) begin and end on a level.

    Returns
    -------
    tuple of (h + 1,) and (w + 1,) arrays
        Borders between rows and between columns of the level.
    """
    rows = _edges(window.top, window.height, window.scale, (shape[0], level.shape[0]))
    cols = _edges(window.left, window.width, window.scale, (shape[1], level.shape[1]))
    return rows, cols


def blocks(rows: Edges, cols: Edges) -> Iterator[Block]:
    """Divide a window with these edges into blocks, at most `BLOCK` pixels of the level a side.

    They lie on a grid that starts at the level's corner, like the chunks of most files.
    """
    for top in _runs(rows):
        for left in _runs(cols):
            edges = rows[top.start : top.stop + 1], cols[left.start : left.stop + 1]
            source = _source(edges[0]), _source(edges[1])
            inner = edges[0] - source[0].start, edges[1] - source[1].start
            yield Block((top, left), source, inner)


def averaged(part: NDArray[Any], edges: tuple[Edges, Edges]) -> NDArray[Any]:
    """Average a part of a level, (h, w, C), over the pixels between the edges of each axis."""
    means = part.astype(np.result_type(part.dtype, np.float32))
    for axis, borders in enumerate(edges):
        starts = np.minimum(borders[:-1], part.shape[axis] - 1)
        counts = np.maximum(borders[1:] - borders[:-1], 1).astype(means.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            means = np.add.reduceat(means, starts, axis)
        means /= np.expand_dims(counts, [kept for kept in range(3) if kept != axis])
    return means


def _edges(first: int, count: int, scale: int, sizes: tuple[int, int]) -> Edges:
    """Return the borders of so many pixels on a level: sizes are of the frame and of the level."""
    size, stored = sizes
    borders = np.minimum(np.arange(first, first + count + 1) * scale, size)
    return np.rint(borders * (stored / size)).astype(np.int64)


def _runs(edges: Edges) -> list[slice]:
    """Divide the pixels between edges into runs, each of which lies in one block of the level."""
    starts = np.flatnonzero(np.diff(edges[:-1] // BLOCK, prepend=-1))
    stops = [*starts[1:].tolist(), len(edges) - 1]
    return [slice(start, stop) for start, stop in zip(starts.tolist(), stops, strict=True)]


def _source(edges: Edges) -> slice:
    start, stop = int(edges[0]), int(edges[-1])
    return slice(start, stop) if stop > start else slice(start - 1, start)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a frame, on one of its levels.

    Level 0 is the frame itself; every further level has half the rows and columns, rounded up.
    """

    level: int
    top: int  # first row, in pixels of the level
    left: int  # first column
    height: int  # rows
    width: int  # columns

    @property
    def scale(self) -> int:
        """Pixels of the frame per pixel of the level."""
        return 1 << self.level

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def box(self, shape: tuple[int, int]) -> Box:
        """Return the part of a frame (H, W) that it shows, in pixels of the frame."""
        bottom, right = self.top + self.height, self.left + self.width
        return Box(
            self.top * self.scale,
            self.left * self.scale,
            min(bottom * self.scale, shape[0]),
            min(right * self.scale, shape[1]),
        )

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn points of the frame, (N, 2) as row and column, into points of the window."""
        return (points + 0.5) / self.scale - 0.5 - np.array([self.top, self.left])

    def contains(self, box: Sequence[float], shape: tuple[int, int], margin: int) -> bool:
        """Tell whether a box of a frame (H, W) is inside, so far from the sides that cut the frame.

        The margin is counted in pixels of the level.
        """
        own = self.box(shape)
        distances = (box[0] - own.top, box[1] - own.left, own.bottom - box[2], own.right - box[3])
        cuts = (own.top > 0, own.left > 0, own.bottom < shape[0], own.right < shape[1])
        return all(
            distance >= (margin * self.scale if cut else 0)
            for distance, cut in zip(distances, cuts, strict=True)
        )


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Return rows and columns of a level of a frame (H, W)."""
    return -(-shape[0] >> level), -(-shape[1] >> level)

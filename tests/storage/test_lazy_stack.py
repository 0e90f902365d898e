"""Stacks that are read where numpy would give the same pixels, and no sooner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_sam3.storage.lazy_stack import LazyStack

SHAPE = (3, 4, 5, 6)
PIXELS = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
ALL = slice(None)


class Shelf:
    """Pixels that count how many of them were read at a time."""

    shape = SHAPE
    dtype = PIXELS.dtype

    def __init__(self) -> None:
        self.reads: list[int] = []

    def __getitem__(self, index: Any) -> NDArray[np.uint16]:
        read = PIXELS[index]
        self.reads.append(read.size)
        return read


@pytest.fixture
def store() -> Shelf:
    return Shelf()


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        (1, 2),
        (np.int64(1), np.int64(2), 3, 4),
        (2, 1, slice(1, 4), slice(0, 3, 2)),
        (ALL, 1),
        (slice(1, 3), ALL, 2),
        (slice(None, None, -1), slice(3, 0, -2), slice(None, None, -1)),
        (..., 3),
        (1, ..., slice(2, 4)),
        (slice(5, 9), 0),
        ...,
        (),
    ],
)
def test_a_part_holds_the_pixels_that_numpy_gives(store: Shelf, index: Any) -> None:
    part = LazyStack(store)[index]

    expected = PIXELS[index]
    assert (part.shape, part.ndim, part.size) == (expected.shape, expected.ndim, expected.size)
    np.testing.assert_array_equal(np.asarray(part), expected)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((ALL, ALL, slice(1, 4), slice(2, 6)), (1, 2, ALL, ALL)),
        ((ALL, 2), (1, slice(1, 3))),
        ((slice(1, 3), ALL, slice(1, 5)), (ALL, 3, 2)),
        ((ALL, ALL, ALL, 4), (0, slice(1, 3))),
        ((slice(None, None, -1), ALL, slice(4, 0, -2)), (slice(0, 2), 1, 1)),
    ],
)
def test_a_part_of_a_part_holds_the_pixels_that_numpy_gives(
    store: Shelf, first: Any, second: Any
) -> None:
    part = LazyStack(store)[first][second]

    np.testing.assert_array_equal(np.asarray(part), PIXELS[first][second])


def test_a_part_of_all_frames_reads_nothing(store: Shelf) -> None:
    part = LazyStack(store)[:, :, 1:3, 2:5]

    assert part.shape == (3, 4, 2, 3)
    assert store.reads == []


def test_a_frame_of_a_part_reads_its_pixels_alone(store: Shelf) -> None:
    LazyStack(store)[:, :, 1:3, 2:5][2, 1, :, :]

    assert store.reads == [2 * 3]


def test_a_row_of_all_frames_reads_that_row_alone(store: Shelf) -> None:
    np.asarray(LazyStack(store)[:, :, :, 2:5][:, 0, 3, :])

    assert store.reads == [3 * 3]


def test_what_is_asked_beyond_the_frames_is_refused(store: Shelf) -> None:
    stack = LazyStack(store)

    for index in (3, (0, -5), (0,) * 5):
        with pytest.raises(IndexError):
            stack[index]


def test_frames_can_be_gone_through(store: Shelf) -> None:
    frames = [np.asarray(frame) for frame in LazyStack(store)[1]]

    np.testing.assert_array_equal(frames, PIXELS[1])


def test_the_chunks_are_those_of_what_is_read() -> None:
    stored = zarr.zeros(shape=(3, 8, 8), chunks=(1, 4, 4), dtype=np.uint16, store={})

    assert LazyStack(stored).chunks == (1, 4, 4)

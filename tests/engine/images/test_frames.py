from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_sam3.engine import Frames, FramesError


def stack(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "count", "plane", "channels", "is_rgb"),
    [
        ((8, 9), 1, (8, 9), 1, False),
        ((5, 8, 9), 5, (8, 9), 1, False),
        ((3, 8, 9), 3, (8, 9), 1, False),
        ((5, 8, 9, 2), 5, (8, 9), 2, False),
        ((8, 9, 3), 1, (8, 9), 3, True),
        ((8, 9, 4), 1, (8, 9), 3, True),
    ],
)
def test_shape_says_what_the_axes_are(shape, count, plane, channels, is_rgb) -> None:
    frames = Frames.from_array(stack(*shape))

    found = (len(frames), frames.shape, frames.channels, frames.is_rgb)

    assert found == (count, plane, channels, is_rgb)
    assert frames.read(count - 1).shape == (*plane, channels)


def test_eight_bit_stack_of_three_channels_is_rgb() -> None:
    assert Frames.from_array(stack(5, 8, 9, 3, dtype="uint8")).is_rgb
    assert not Frames.from_array(stack(5, 8, 9, 3)).is_rgb


def test_alpha_of_a_colour_image_is_dropped() -> None:
    image = stack(8, 9, 4, dtype="uint8")

    frame = Frames.from_array(image).read(0)

    np.testing.assert_array_equal(frame, image[..., :3])


@pytest.mark.parametrize("library", [np.asarray, da.from_array, zarr.array])
def test_every_library_reads_the_same_frame(library) -> None:
    data = stack(4, 8, 9)

    frame = Frames.from_array(library(data)).read(2)

    assert isinstance(frame, np.ndarray)
    np.testing.assert_array_equal(frame[..., 0], data[2])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float64"])
def test_integers_floats_and_booleans_are_read(dtype: str) -> None:
    frame = Frames.from_array(stack(2, 8, 9, dtype=dtype)).read(1)

    assert frame.dtype == ("uint8" if dtype == "bool" else dtype)


@pytest.mark.parametrize("dtype", ["complex64", "object", "U3", "datetime64[s]"])
def test_other_types_are_refused_in_a_sentence(dtype: str) -> None:
    with pytest.raises(FramesError, match="convert it to integers or floats"):
        Frames.from_array(np.zeros((2, 8, 9), "i8").astype(dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_not_a_number_is_the_lowest_and_infinity_the_highest_value(dtype: str) -> None:
    image = np.ones((8, 9), dtype)
    image[0, :3] = np.nan, -np.inf, np.inf

    frame = Frames.from_array(image).read(0)

    limits = np.finfo(dtype)
    assert frame[0, :4, 0].tolist() == [limits.min, limits.min, limits.max, 1]


@pytest.mark.parametrize("shape", [(0, 8, 9), (4, 0, 9), (4, 8, 9, 0), (0, 0)])
def test_empty_image_is_refused(shape) -> None:
    with pytest.raises(FramesError, match="is empty"):
        Frames.from_array(np.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 50), (10, 1, 50), (10, 50, 1), (10, 50, 4, 2)])
def test_image_of_one_row_or_few_is_refused(shape) -> None:
    with pytest.raises(FramesError, match="at least 5 rows and columns"):
        Frames.from_array(np.zeros(shape))


@pytest.mark.parametrize("shape", [(9,), (), (2, 3, 4, 8, 9)])
def test_other_numbers_of_axes_are_refused(shape) -> None:
    with pytest.raises(FramesError, match="cannot be read as a stack"):
        Frames.from_array(np.zeros(shape))


@pytest.mark.parametrize("frame", [-1, 4])
def test_frame_outside_the_stack_is_refused(frame: int) -> None:
    with pytest.raises(FramesError, match=f"no frame {frame}: the stack has frames 0 to 3"):
        Frames.from_array(stack(4, 8, 9)).read(frame)


@pytest.mark.parametrize("error", [OSError("disk gone"), RuntimeError("bad chunk"), KeyError("c")])
def test_unreadable_frame_is_named(error: Exception) -> None:
    def read(frame: int) -> np.ndarray:
        raise error

    with pytest.raises(FramesError, match="Frame 2 cannot be read") as caught:
        Frames(4, (8, 9), 1, read).read(2)

    assert caught.value.__cause__ is error


def test_frame_of_another_shape_is_refused() -> None:
    with pytest.raises(FramesError, match="Frame 0 has the shape"):
        Frames(4, (8, 9), 1, lambda _: np.zeros((9, 8, 1))).read(0)


def test_opened_data_have_tokens_of_their_own() -> None:
    data = stack(4, 8, 9)

    assert Frames.from_array(data).token != Frames.from_array(data).token


def test_sampled_frames_are_held_for_one_read_and_then_freed() -> None:
    fetched: list[int] = []

    def read(frame: int) -> np.ndarray:
        fetched.append(frame)
        return np.zeros((8, 9, 1))

    frames = Frames(5, (8, 9), 1, read)
    frames.sample()
    frames.read(2)
    frames.read(2)

    assert sorted(fetched) == [0, 2, 2, 4]


def test_first_frame_is_held_for_one_read_like_those_that_were_sampled() -> None:
    fetched: list[int] = []

    def read(frame: int) -> np.ndarray:
        fetched.append(frame)
        return np.full((8, 9, 1), frame)

    frames = Frames(5, (8, 9), 1, read)
    first = frames.first()
    frames.sample()

    np.testing.assert_array_equal(first, frames.read(0))
    assert sorted(fetched) == [0, 2, 4]


def test_first_frame_of_a_large_stack_is_known_by_its_middle() -> None:
    rows = np.broadcast_to(np.arange(3000, dtype=np.uint16)[:, None], (3000, 3000))

    pixels = Frames.from_array(rows).first()

    assert pixels.shape == (256, 256, 1)
    assert 1400 < pixels.mean() < 1600

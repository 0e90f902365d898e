from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_sam3.engine import Contrast, Frames, FramesError
from napari_sam3.engine.images.frames import BLOCK, FrameLevel, Window
from tests.large_images import pyramid, repeated

NOISE = np.random.default_rng(0).integers(0, 4000, (2, 300, 260)).astype(np.uint16)


def halved(image: np.ndarray, times: int = 1) -> np.ndarray:
    for _ in range(times):
        rows, cols = (side // 2 for side in image.shape)
        image = image[: rows * 2, : cols * 2].reshape(rows, 2, cols, 2).mean((1, 3))
    return image


@pytest.mark.parametrize("library", [np.asarray, da.from_array, zarr.array])
def test_part_of_a_frame_is_read_as_it_is_stored(library) -> None:
    frames = Frames.from_array(library(NOISE))

    part = frames.read_window(1, Window(0, 10, 20, 50, 60))

    assert part.dtype == np.uint16
    np.testing.assert_array_equal(part[..., 0], NOISE[1, 10:60, 20:80])


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (NOISE[0], 1),
        (np.stack([NOISE, NOISE], axis=-1), 2),
        (NOISE[0, :, :256].reshape(300, 64, 4), 3),
    ],
)
def test_all_orders_of_axes_are_read_in_parts(data: np.ndarray, channels: int) -> None:
    frames = Frames.from_levels([data])

    part = frames.read_window(0, Window(0, 10, 20, 50, 40))

    np.testing.assert_array_equal(part, frames.read(0)[10:60, 20:60])
    assert part.shape == (50, 40, channels)


@pytest.mark.parametrize("level", [1, 2])
def test_coarse_window_averages_the_frame_where_nothing_coarser_is_stored(level: int) -> None:
    part = Frames.from_array(NOISE).read_window(0, Window(level, 8, 4, 30, 40))

    expected = halved(NOISE[0], level)[8:38, 4:44]
    np.testing.assert_allclose(part[..., 0], expected, rtol=1e-5)


def test_coarse_window_is_read_from_the_level_that_fits() -> None:
    levels = pyramid(NOISE, (6000, 5200), 4)

    Frames.from_levels(levels).read_window(1, Window(2, 500, 600, 400, 300))

    assert [len(level.chunks_read) > 0 for level in levels] == [False, False, True, False]
    assert levels[2].largest == 400 * 300


def test_window_coarser_than_all_levels_is_averaged_from_the_coarsest() -> None:
    coarse = pyramid(NOISE, (4800, 4160), 2)

    part = Frames.from_levels(coarse).read_window(0, Window(3, 10, 20, 30, 25))

    indices = [np.arange(start * 4, stop * 4) for start, stop in ((10, 40), (20, 45))]
    tile = coarse[1][0, 0:150, 0:130]
    wanted = tile[np.ix_(indices[0] % tile.shape[0], indices[1] % tile.shape[1])]
    np.testing.assert_allclose(part[..., 0], halved(wanted, 2), rtol=1e-5)


def test_levels_need_not_be_halves() -> None:
    ramp = np.add.outer(np.arange(3000.0), np.zeros(600))
    third = ramp[1::3, 1::3]

    part = Frames.from_levels([ramp, third]).read_window(0, Window(2, 100, 0, 50, 150))

    np.testing.assert_allclose(part[:, 5, 0], np.arange(100, 150) * 4 + 1.5, atol=2)


@pytest.mark.parametrize("coarse", [(150, 131), (151, 132)])
def test_halves_may_be_rounded_either_way(coarse) -> None:
    stored = np.arange(np.prod(coarse)).reshape(coarse).astype(float)
    fine = np.zeros((301, 263))

    part = Frames.from_levels([fine, stored]).read_window(0, Window(1, 0, 0, 151, 132))

    np.testing.assert_array_equal(part[: coarse[0], : coarse[1], 0], stored)
    np.testing.assert_array_equal(part[-1, : coarse[1], 0], stored[-1])


def test_frame_is_averaged_in_blocks_and_each_chunk_is_read_once() -> None:
    stack = repeated(NOISE, (4500, 4500))

    Frames.from_array(stack).read_window(0, Window(4, 0, 0, 282, 282))

    assert set(stack.chunks_read.values()) == {1}
    assert stack.largest <= BLOCK**2


def test_parts_are_finite() -> None:
    image = np.ones((64, 64), np.float32)
    image[0, :6], image[1, :6] = np.nan, np.inf

    part = Frames.from_array(image).read_window(0, Window(1, 0, 0, 32, 32))

    assert np.isfinite(part).all()
    assert part[10, 10, 0] == 1


def test_part_that_cannot_be_read_is_named_by_its_frame() -> None:
    def read(frame: int, rows: slice, cols: slice) -> np.ndarray:
        raise OSError("disk gone")

    frames = Frames(3, (64, 64), 1, lambda _: NOISE[0], levels=[FrameLevel((64, 64), read)])

    with pytest.raises(FramesError, match="Frame 2 cannot be read"):
        frames.read_window(2, Window(0, 0, 0, 9, 9))


def test_part_of_another_shape_is_refused() -> None:
    level = FrameLevel((64, 64), lambda *_: np.zeros((4, 4, 1)))

    with pytest.raises(FramesError, match="Frame 0 has the shape"):
        Frames(1, (64, 64), 1, lambda _: NOISE[0], levels=[level]).read_window(
            0, Window(0, 0, 0, 9, 9)
        )


@pytest.mark.parametrize(
    "levels",
    [[NOISE, NOISE[:1]], [NOISE[:, :90], NOISE], [NOISE, np.stack([NOISE, NOISE], axis=-1)], []],
)
def test_levels_that_do_not_fit_together_are_refused(levels) -> None:
    with pytest.raises(FramesError, match=r"levels"):
        Frames.from_levels(levels)


def test_frame_without_levels_is_cut_from_what_is_read() -> None:
    frames = Frames(2, (300, 260), 1, lambda frame: NOISE[frame][..., None])

    part = frames.read_window(1, Window(0, 5, 6, 7, 8))

    np.testing.assert_array_equal(part[..., 0], NOISE[1, 5:12, 6:14])


@pytest.mark.parametrize(("shape", "is_large"), [((2048, 2048), False), ((1024, 4097), True)])
def test_frame_of_many_pixels_is_large(shape, is_large: bool) -> None:
    assert Frames.from_array(np.broadcast_to(np.uint8(0), shape)).is_large == is_large


@pytest.mark.parametrize("levels", [1, 6])
def test_contrast_of_a_large_stack_is_estimated_from_little(levels: int) -> None:
    stored = pyramid(NOISE, (20000, 20000), levels)

    (channel,) = Contrast.estimate(Frames.from_levels(stored)).channels

    assert sum(len(level.chunks_read) for level in stored) <= 3 * 36
    assert max(level.largest for level in stored) <= 2048**2
    assert 0 <= channel.limits[0] < 2000 < channel.limits[1] <= 4000


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
def test_types_that_are_no_numbers_are_refused(dtype: str) -> None:
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
def test_too_few_or_too_many_axes_are_refused(shape) -> None:
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

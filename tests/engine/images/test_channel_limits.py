from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Frames
from napari_sam3.engine.images.channel_limits import estimated_limits


def noise(*shape: int, low: int = 1000, high: int = 3000) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, shape).astype(np.uint16)


def limits(data: np.ndarray) -> list[tuple[float, float]]:
    return estimated_limits(Frames.from_array(data))


def test_single_hot_pixel_of_a_small_image_is_left_out() -> None:
    image = noise(16, 16)
    image[3, 3] = 65535

    assert limits(image)[0][1] < 3000


def test_channels_have_limits_of_their_own() -> None:
    data = np.stack([noise(4, 32, 32), noise(4, 32, 32, low=0, high=50)], axis=-1)

    bright, dim = limits(data)

    assert bright == pytest.approx((1000, 3000), abs=30)
    assert dim == pytest.approx((0, 50), abs=2)


@pytest.mark.parametrize("blank", [0, np.nan, np.inf, 500])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_blank_frame_spoils_nothing(blank: float, where: int) -> None:
    data = noise(3, 32, 32).astype(np.float32)
    data[where] = blank

    assert limits(data)[0] == pytest.approx((1000, 3000), abs=30)


def test_scattered_not_a_numbers_are_left_out() -> None:
    data = noise(3, 32, 32).astype(np.float32)
    data[:, ::3] = np.nan
    data[:, 1::3, 0] = np.inf

    assert limits(data)[0] == pytest.approx((1000, 3000), abs=30)


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_constant_stack_has_limits_one_apart(value: float) -> None:
    ((low, high),) = limits(np.full((3, 16, 16), value, np.float32))

    assert high - low == 1


def test_mask_of_few_pixels_is_seen() -> None:
    image = np.zeros((100, 100), bool)
    image[50, 50] = True

    assert limits(image) == [(0, 1)]


def test_dark_eight_bit_stack_is_stretched() -> None:
    low, high = limits(noise(3, 32, 32, low=3, high=20).astype(np.uint8))[0]

    assert (low, high) == (3, 19)


def test_eight_bit_colour_image_is_shown_as_it_is() -> None:
    assert limits(noise(32, 32, 3, high=1100).astype(np.uint8)) == [(0, 255)] * 3


def test_float_colour_image_is_between_nought_and_one() -> None:
    assert limits(noise(32, 32, 3) / 6000) == [(0, 1)] * 3


def test_deep_colour_image_keeps_its_balance() -> None:
    red, green, blue = limits(noise(32, 32, 3) * np.array([1, 2, 3], np.uint16))

    assert red == green == blue
    assert red == pytest.approx((1000, 9000), abs=100)


def test_at_most_three_frames_are_read() -> None:
    read: list[int] = []

    def fetch(frame: int) -> np.ndarray:
        read.append(frame)
        return noise(16, 16, 1)

    estimated_limits(Frames(100, (16, 16), 1, fetch))

    assert sorted(read) == [0, 50, 99]

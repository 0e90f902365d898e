from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Channel, Contrast, Frames, FramesError
from napari_sam3.engine.images.contrast import default_colors, estimated_limits


def frames_of(channels: int) -> Frames:
    return Frames.from_array(np.zeros((2, 8, 8, channels), np.uint16))


def test_one_channel_is_white() -> None:
    assert default_colors(frames_of(1)) == [(1, 1, 1)]


def test_colour_image_is_red_green_and_blue() -> None:
    colors = default_colors(Frames.from_array(np.zeros((8, 8, 3), np.uint8)))

    assert colors == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


@pytest.mark.parametrize("channels", [2, 3, 4, 6, 7, 12])
def test_every_channel_shows_in_a_colour_of_its_own(channels: int) -> None:
    frames = frames_of(channels)
    frame = np.eye(channels).reshape(1, channels, channels)

    image = Contrast.estimate(frames).compose(frame)

    assert len(np.unique(image[0], axis=0)) == channels
    assert (image[0].max(axis=1) == 1).all()


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
    frames_read: list[int] = []

    def fetch(frame: int) -> np.ndarray:
        frames_read.append(frame)
        return noise(16, 16, 1)

    estimated_limits(Frames(100, (16, 16), 1, fetch))

    assert sorted(frames_read) == [0, 50, 99]


RAMP = np.linspace(0, 1, 256)[:, None]


def grey_frame(*values: float, dtype: str = "uint16") -> np.ndarray:
    return np.array(values, dtype).reshape(1, -1, 1)


def test_limits_are_black_and_white_and_what_is_beyond_is_clipped() -> None:
    contrast = Contrast((Channel((100, 300)),))

    image = contrast.compose(grey_frame(0, 100, 200, 300, 999))

    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0], np.repeat([[0], [0], [0.5], [1], [1]], 3, axis=1))


def test_gamma_bends_the_brightness() -> None:
    image = Contrast((Channel((0, 100), gamma=2),)).compose(grey_frame(50))

    np.testing.assert_allclose(image[0, 0], 0.25)


@pytest.mark.parametrize("color", [(0, 1, 0), (0.2, 0.1, 0.9)])
def test_single_visible_channel_of_one_colour_is_grey(color) -> None:
    hidden = Channel((0, 100), (1, 0, 0), opacity=0)
    contrast = Contrast((hidden, Channel((0, 100), RAMP * color)))

    image = contrast.compose(np.full((1, 1, 2), 50, np.uint8))

    np.testing.assert_allclose(image[0, 0], 0.5)


def test_single_channel_with_a_colour_table_keeps_its_colours() -> None:
    fire = np.concatenate([RAMP, RAMP**2, 1 - RAMP], axis=1)

    image = Contrast((Channel((0, 255), fire),)).compose(grey_frame(0, 51, 255))

    np.testing.assert_allclose(image[0], [[0, 0, 1], [0.2, 0.04, 0.8], [1, 1, 0]], atol=1e-6)


def test_inverted_grey_stays_inverted() -> None:
    image = Contrast((Channel((0, 255), np.repeat(1 - RAMP, 3, axis=1)),)).compose(grey_frame(0))

    np.testing.assert_allclose(image[0, 0], 1)


def test_channels_add_up_and_are_clipped() -> None:
    contrast = Contrast((Channel((0, 10), (1, 0, 0)), Channel((0, 10), (1, 1, 0), opacity=0.5)))

    image = contrast.compose(np.array([[[10, 10], [5, 0]]], np.uint8))

    np.testing.assert_allclose(image[0], [[1, 0.5, 0], [0.5, 0, 0]])


def test_channel_over_another_hides_it_by_its_opacity() -> None:
    above = Channel((0, 10), (0, 1, 0), opacity=0.5, blending="over")

    image = Contrast((Channel((0, 10), (1, 0, 0)), above)).compose(np.full((1, 1, 2), 10))

    np.testing.assert_allclose(image[0, 0], [0.5, 0.5, 0])


def test_all_channels_hidden_is_black() -> None:
    image = Contrast((Channel((0, 10), opacity=0),)).compose(grey_frame(10))

    assert not image.any()


def test_equal_limits_divide_nothing_by_zero() -> None:
    image = Contrast((Channel((7, 7)),)).compose(grey_frame(7, 7, 7))

    assert not image.any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_not_a_number_is_black_and_infinity_white(dtype: str) -> None:
    data = np.full((8, 8), 0.5, dtype)
    data[0, :3] = np.nan, -np.inf, np.inf
    frames = Frames.from_array(data)

    image = Contrast((Channel((0, 1)),)).compose(frames.read(0))

    np.testing.assert_allclose(image[0, :4, 0], [0, 0, 1, 0.5])


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_small_differences_of_large_values_are_seen(dtype: str) -> None:
    image = Contrast((Channel((2**40, 2**40 + 4)),)).compose(grey_frame(2**40 + 1, dtype=dtype))

    np.testing.assert_allclose(image[0, 0], 0.25)


def test_contrast_for_another_number_of_channels_is_refused() -> None:
    with pytest.raises(FramesError, match="set for 1 channels, but the frame has 2"):
        Contrast((Channel((0, 1)),)).compose(np.zeros((8, 8, 2)))


def test_token_tells_settings_apart() -> None:
    settings = [
        Channel((0, 1)),
        Channel((0, 2)),
        Channel((0, 1), (1, 0, 0)),
        Channel((0, 1), gamma=0.5),
        Channel((0, 1), opacity=0.5),
        Channel((0, 1), blending="over"),
    ]

    tokens = {Contrast((channel,)).token for channel in settings}

    assert len(tokens) == len(settings)
    assert Contrast((Channel((0, 1)),)).token in tokens


def test_colours_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Channel((0, 1)).colors[0] = 1


def test_colours_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not \(4,\)"):
        Channel((0, 1), (1, 1, 1, 1))


def test_estimate_of_a_stack_is_one_setting_for_all_its_frames() -> None:
    data = np.random.default_rng(0).integers(1000, 3000, (5, 64, 64)).astype(np.uint16)

    (channel,) = Contrast.estimate(Frames.from_array(data)).channels

    assert channel.limits == pytest.approx((1000, 3000), abs=20)


def test_hot_pixel_changes_nothing_else_and_frames_do_not_flicker() -> None:
    calm = np.random.default_rng(0).integers(1000, 1200, (64, 64)).astype(np.uint16)
    hot = calm.copy()
    hot[5, 5] = 65535
    frames = Frames.from_array(np.stack([calm, hot, calm]))
    contrast = Contrast.estimate(frames)

    first, second, third = (contrast.compose(frames.read(i)) for i in range(3))

    changed = np.argwhere((first != second).any(axis=2))
    assert len(np.unique(first)) > 150
    assert changed.tolist() == [[5, 5]]
    np.testing.assert_array_equal(first, third)

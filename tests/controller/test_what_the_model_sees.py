"""Which frame, channels and contrast the model is shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.controller.bench import MOVIE, Bench


def test_prompt_lies_at_the_current_time_and_depth(bench_of: Callable[..., Bench]) -> None:
    pixels = np.zeros((3, 4, 64, 64), np.uint8)
    pixels[1, 2] = MOVIE[5]
    bench = bench_of(pixels, axis_labels=("t", "z", "y", "x"))

    bench.click(1, 2, 30, 30)

    assert bench.mask(1, 2)[30, 30]
    assert bench.labels[0].data[:].any(axis=(2, 3)).nonzero() == (1, 2)
    assert bench.messages == []


def test_model_sees_the_frame_at_the_current_time_and_depth(bench_of: Callable[..., Bench]) -> None:
    brightness = np.arange(12, dtype=np.uint8).reshape(3, 4, 1, 1) * np.ones((64, 64), np.uint8)
    bench = bench_of(brightness, contrast_limits=(0, 10), axis_labels=("t", "z", "y", "x"))

    bench.click(1, 2, 30, 30)

    np.testing.assert_allclose(_seen_by_the_model(bench), 0.6)


def test_model_sees_the_contrast_that_the_user_sees(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((3, 64, 64), 150, np.uint16), contrast_limits=(100, 200))

    bench.click(0, 30, 30)

    np.testing.assert_allclose(_seen_by_the_model(bench), 0.5)


def test_other_contrast_is_another_embedding(bench: Bench) -> None:
    bench.click_disk(0)
    bench.image.contrast_limits = (0, 500)
    bench.click(0, 31, 12)

    assert bench.backend.encoded == 2
    assert bench.backend.refined[-1] is None


def test_model_sees_all_visible_channels(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((64, 64), 200, np.uint8), contrast_limits=(0, 200), colormap="red")
    bench.add_image(
        np.full((64, 64), 100, np.uint8),
        contrast_limits=(0, 200),
        colormap="green",
        blending="additive",
    )
    hidden = bench.add_image(np.full((64, 64), 200, np.uint8), colormap="blue")
    hidden.visible = False

    bench.click(30, 30)

    colors = _seen_by_the_model(bench)
    np.testing.assert_allclose(colors[30, 30], (1, 0.5, 0), atol=0.01)


def test_click_on_another_image_is_about_that_one(bench: Bench) -> None:
    bench.click(0, 20, 20)
    other = bench.add_image(np.zeros((32, 32), np.uint8))

    bench.controller.click((10, 10), is_positive=True)

    assert bench.image is other
    assert bench.mask()[10, 10]


def test_click_beside_a_hidden_image_is_about_the_one_in_sight(bench: Bench) -> None:
    bench.click(0, 20, 20)
    hidden = bench.add_image(np.zeros((10, 32, 32), np.uint8))
    hidden.visible = False

    bench.controller.click((0, 20, 24), is_positive=True)

    assert bench.image is not hidden
    assert bench.mask(0)[20, 24]


def _seen_by_the_model(bench: Bench) -> np.ndarray:
    """Return the image that was embedded last, (H, W, 3)."""
    return bench.backend.seen[-1]

"""Which image, stack and frame is looked at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.controller.bench import MOVIE, Bench


def test_first_image_is_looked_at(bench: Bench) -> None:
    bench.add_image(np.zeros((32, 32)))

    assert bench.image.name == "pixels"


def test_image_that_is_left_is_looked_at(bench: Bench) -> None:
    other = bench.add_image(np.zeros((32, 32)))

    bench.viewer.layers.remove(bench.image)

    assert bench.image is other


def test_nothing_is_looked_at_without_an_image(bench: Bench) -> None:
    bench.viewer.layers.clear()

    focus = bench.controller.focus
    assert (focus.image, focus.frame_index, focus.axes, focus.frame_axes) == (None, None, None, [])


def test_time_is_followed_before_depth(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.zeros((9, 3, 64, 64), np.uint8), axis_labels=("z", "t", "y", "x"))

    assert bench.controller.focus.frame_axis == 1
    assert bench.controller.focus.frame_axes == [("z", 0), ("t", 1)]


def test_place_is_that_of_the_sliders(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.zeros((3, 4, 64, 64), np.uint8), scale=(2, 5, 1, 1), translate=(1, 9, 0, 0))

    bench.go_to(2, 3)

    assert bench.controller.focus.frame_index == (2, 3)


def test_place_beyond_the_image_is_its_nearest_frame(bench: Bench) -> None:
    bench.add_image(np.zeros((20, 64, 64), np.uint8))

    bench.go_to(15)

    assert bench.controller.focus.frame_index == (9,)


def test_going_to_a_place_leaves_no_slider_behind(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.zeros((3, 4, 64, 64), np.uint8), scale=(2, 5, 1, 1), translate=(1, 9, 0, 0))

    bench.controller.focus.go_to((1, 2))

    assert bench.controller.focus.frame_index == (1, 2)
    assert bench.viewer.dims.current_step[:2] == (1, 2)


def test_image_of_fewer_axes_is_gone_to_in_its_own(bench: Bench) -> None:
    bench.add_image(np.zeros((2, 10, 64, 64), np.uint8))

    bench.controller.focus.go_to((6,))

    assert bench.viewer.dims.current_step[:2] == (0, 6)


def test_stack_that_grows_is_still_followed_along_its_axis(bench: Bench) -> None:
    bench.image.data = np.concatenate([MOVIE, MOVIE])

    assert bench.controller.focus.axes is not None
    assert bench.controller.focus.axes.count == 20

"""What cannot be asked, told in a sentence, and odd images that can."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.controller.bench import MOVIE, PATH, Bench


def test_point_outside_the_image_is_refused(bench: Bench) -> None:
    bench.click(0, 70, 10)

    assert bench.messages == ["The point lies outside the image: click inside it."]
    assert bench.asked == []
    assert len(bench.workspace.prompts.points.data) == 0


def test_box_of_no_area_is_refused_and_the_mask_stays(bench: Bench) -> None:
    bench.click(0, 20, 20)

    bench.workspace.prompts.shapes.add(_box(0, 10, 10, 10, 30), shape_type="rectangle")

    assert len(bench.messages) == 1
    assert "covers no pixel" in bench.messages[0]
    assert bench.mask(0)[20, 20]


def test_negative_click_alone_says_what_is_missing(bench: Bench) -> None:
    bench.click(0, 20, 20, is_positive=False)

    assert len(bench.messages) == 1
    assert "positive point" in bench.messages[0]
    assert bench.asked == []


def test_click_without_an_image_says_what_to_do() -> None:
    bench = Bench()

    bench.controller.click((0, 0), is_positive=True)

    assert bench.messages == ["There is no image to segment: open one first."]


def test_run_without_an_object_says_what_to_do(bench: Bench) -> None:
    bench.run()

    assert bench.messages == ["There is nothing to propagate yet: click an object first."]


def test_image_of_one_row_is_refused_in_a_sentence(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.zeros((5, 1, 40), np.uint8))

    bench.click(0, 0, 10)

    assert len(bench.messages) == 1
    assert "1 x 40 pixels is too narrow" in bench.messages[0]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # napari's own
def test_empty_stack_is_refused_in_a_sentence(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.zeros((0, 64, 64), np.uint8), contrast_limits=(0, 1))

    bench.click(0, 30, 30)

    assert len(bench.messages) == 1
    assert bench.asked == []


def test_constant_frame_can_be_prompted(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((3, 64, 64), 7, np.uint16))

    bench.click(0, 30, 30)

    assert bench.mask(0)[30, 30]
    assert bench.messages == []


def test_frame_of_nan_can_be_prompted(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((3, 64, 64), np.nan, np.float32), contrast_limits=(0, 1))

    bench.click(0, 30, 30)

    assert bench.mask(0)[30, 30]
    assert not np.isnan(_seen_by_the_model(bench)).any()


def test_color_image_can_be_prompted(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((64, 64, 3), (255, 0, 51), np.uint8), rgb=True)

    bench.click(30, 30)

    assert bench.mask()[30, 30]
    np.testing.assert_allclose(_seen_by_the_model(bench)[0, 0], (1, 0, 0.2), atol=0.01)


def test_single_image_can_be_prompted(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(MOVIE[0])

    bench.click(*PATH[0])

    assert bench.mask()[PATH[0]]
    assert bench.controller.focus.axes is not None
    assert bench.controller.focus.axes.count == 1


def _box(frame: int, top: float, left: float, bottom: float, right: float) -> np.ndarray:
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return np.array([(frame, *corner) for corner in corners])


def _seen_by_the_model(bench: Bench) -> np.ndarray:
    """Return the image that was embedded last, (H, W, 3)."""
    return bench.backend.seen[-1]

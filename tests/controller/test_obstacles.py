"""Every sentence that says why something cannot be done now."""

from collections.abc import Callable

import numpy as np
import pytest

from napari_sam3.controller.obstacles import Action, obstacle
from tests.controller.bench import MOVIE, Bench

ACTIONS: tuple[Action, ...] = (
    "prompt",
    "next_reading",
    "next_object",
    "undo",
    "redo",
    "remove",
    "run",
    "stop",
    "change_layout",
)


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_can_be_done_without_an_image(action: Action) -> None:
    said = obstacle(Bench().controller, action)

    assert said.startswith("There is no image yet")


@pytest.mark.parametrize(
    ("action", "beginning"),
    [
        ("next_reading", "Click an object first"),
        ("next_object", "No object is outlined yet"),
        ("undo", "There is nothing to undo"),
        ("redo", "There is nothing to redo"),
        ("remove", "No object is outlined yet"),
        ("run", "No object is outlined yet"),
        ("stop", "Nothing is being followed"),
    ],
)
def test_image_without_prompts_allows_prompting_alone(
    bench: Bench, action: Action, beginning: str
) -> None:
    assert obstacle(bench.controller, action).startswith(beginning)
    assert obstacle(bench.controller, "prompt") == ""
    assert obstacle(bench.controller, "change_layout") == ""


@pytest.mark.parametrize("action", ["next_reading", "next_object", "undo", "remove", "run"])
def test_click_opens_the_way(bench: Bench, action: Action) -> None:
    bench.click_disk(0)

    assert obstacle(bench.controller, action) == ""


def test_redo_follows_undo(bench: Bench) -> None:
    bench.click_disk(0)

    bench.controller.undo()

    assert obstacle(bench.controller, "redo") == ""


def test_run_that_is_under_way_is_stopped_first(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.answer_all()

    held.run()

    assert "already" in obstacle(held.controller, "run")
    assert obstacle(held.controller, "stop") == ""
    assert obstacle(held.controller, "change_layout") == "Stop following first."
    assert obstacle(held.controller, "prompt") == ""


def test_single_frame_is_not_followed_through(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(MOVIE[0])

    bench.click(30, 10)

    assert obstacle(bench.controller, "run").startswith("The image has one frame")


def test_prompts_of_another_stack_are_not_followed_in_this_one(
    bench_of: Callable[..., Bench],
) -> None:
    bench = bench_of(np.stack([MOVIE, MOVIE]), axis_labels=("t", "z", "y", "x"))
    bench.controller.focus.choose_frame_axis(1)
    bench.click(0, 3, 30, 22)

    bench.go_to(1, 3)

    assert obstacle(bench.controller, "run").startswith("No object is outlined yet")


def test_prompts_are_not_drawn_in_3d(bench: Bench) -> None:
    bench.viewer.dims.ndisplay = 3

    assert "2D/3D button" in obstacle(bench.controller, "prompt")


def test_prompts_are_not_drawn_on_a_section_across_frames(bench: Bench) -> None:
    bench.viewer.dims.order = (1, 0, 2)

    assert "rows and columns" in obstacle(bench.controller, "prompt")
    assert not bench.controller.takes_click()


def test_prompts_are_drawn_on_a_turned_frame(bench: Bench) -> None:
    bench.viewer.dims.order = (0, 2, 1)

    assert obstacle(bench.controller, "prompt") == ""
    assert bench.controller.takes_click()

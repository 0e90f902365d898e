"""Every sentence that says why something about finding cannot be done now."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from napari_sam3.controller.why_disabled import Action, FindAction, obstacle, obstacle_to
from tests.controller.bench import MOVIE, Bench
from tests.controller.colonies import CENTRES, Colony

ACTIONS: tuple[FindAction, ...] = get_args(FindAction)


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_is_found_without_an_image(action: FindAction) -> None:
    said = obstacle_to(Bench().controller, action)

    assert said.startswith("There is no image yet")


@pytest.mark.parametrize(
    ("action", "beginning"),
    [
        ("find_again", "Nothing says what to find"),
        ("select", "Nothing was looked for on this frame yet"),
        ("pick", "Nothing was looked for on this frame yet"),
        ("make_objects", "Nothing was looked for on this frame yet"),
        ("keep_exemplars", "No exemplar is drawn yet"),
        ("remove_concept", "There is no concept yet"),
    ],
)
def test_new_image_allows_looking_alone(action: FindAction, beginning: str) -> None:
    controller = Colony().controller

    assert obstacle_to(controller, action).startswith(beginning)
    for free in ("draw_exemplar", "find_text", "find_everything", "use_library"):
        assert obstacle_to(controller, free) == ""


def test_candidate_is_clicked_before_it_becomes_an_object() -> None:
    colony = Colony()
    colony.finder.find_everything()
    before = obstacle_to(colony.controller, "make_object")

    colony.pick(CENTRES[4])

    assert before.startswith("Click a candidate first")
    assert obstacle_to(colony.controller, "make_object") == ""
    assert obstacle_to(colony.controller, "use_as_exemplar") == ""


def test_threshold_above_all_candidates_leaves_no_objects_to_make() -> None:
    colony = Colony()
    colony.finder.find_everything()

    colony.select(threshold=1.0)

    assert "lower the threshold" in obstacle_to(colony.controller, "make_objects")


def test_model_without_words_and_exemplars_says_what_to_choose() -> None:
    colony = Colony()
    colony.backend.reads_text = colony.backend.reads_exemplars = False
    colony.controller.works.load_with(lambda: colony.engine)

    assert "choose a model that does" in obstacle_to(colony.controller, "find_text")
    assert "finds nothing by exemplars" in obstacle_to(colony.controller, "draw_exemplar")


def test_exemplars_are_not_drawn_in_3d() -> None:
    colony = Colony()
    colony.viewer.dims.ndisplay = 3

    assert "2D/3D button" in obstacle_to(colony.controller, "draw_exemplar")


ACTIONS_OBSTACLES: tuple[Action, ...] = (
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


@pytest.mark.parametrize("action", ACTIONS_OBSTACLES)
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

"""Every sentence that says why something cannot be done now."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from napari_sam3.controller.why_disabled import Action, FindAction, why_disabled, why_find_disabled
from tests.controller.bench import MOVIE, Bench
from tests.controller.colonies import CENTRES, Colony

FIND_ACTIONS: tuple[FindAction, ...] = get_args(FindAction)
ACTIONS: tuple[Action, ...] = get_args(Action)


@pytest.mark.parametrize("action", FIND_ACTIONS)
def test_nothing_is_found_without_an_image(action: FindAction) -> None:
    reason = why_find_disabled(Bench().controller, action)

    assert reason.startswith("There is no image yet")


@pytest.mark.parametrize(
    ("action", "beginning"),
    [
        ("find_again", "Nothing describes what to find"),
        ("select", "This frame was not searched yet"),
        ("pick", "This frame was not searched yet"),
        ("make_objects", "This frame was not searched yet"),
        ("keep_exemplars", "No exemplar is drawn yet"),
        ("remove_concept", "There is no concept yet"),
    ],
)
def test_new_image_allows_searching_alone(action: FindAction, beginning: str) -> None:
    controller = Colony().controller

    assert why_find_disabled(controller, action).startswith(beginning)
    for free in ("draw_exemplar", "find_text", "find_everything", "use_library"):
        assert why_find_disabled(controller, free) == ""


def test_candidate_is_clicked_before_it_becomes_an_object() -> None:
    colony = Colony()
    colony.search.find_everything()
    before = why_find_disabled(colony.controller, "make_object")

    colony.pick(CENTRES[4])

    assert before.startswith("Click a candidate first")
    assert why_find_disabled(colony.controller, "make_object") == ""
    assert why_find_disabled(colony.controller, "use_as_exemplar") == ""


def test_threshold_above_all_candidates_leaves_no_objects_to_make() -> None:
    colony = Colony()
    colony.search.find_everything()

    colony.select(threshold=1.0)

    assert "lower the threshold" in why_find_disabled(colony.controller, "make_objects")


def test_model_without_text_and_exemplars_says_what_to_choose() -> None:
    colony = Colony()
    colony.backend.reads_text = colony.backend.reads_exemplars = False
    colony.controller.annotations.load_with(lambda: colony.engine)

    assert "choose a model that does" in why_find_disabled(colony.controller, "find_text")
    assert "finds nothing by exemplars" in why_find_disabled(colony.controller, "draw_exemplar")


def test_exemplars_are_not_drawn_in_3d() -> None:
    colony = Colony()
    colony.viewer.dims.ndisplay = 3

    assert "2D/3D button" in why_find_disabled(colony.controller, "draw_exemplar")


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_can_be_done_without_an_image(action: Action) -> None:
    reason = why_disabled(Bench().controller, action)

    assert reason.startswith("There is no image yet")


@pytest.mark.parametrize(
    ("action", "beginning"),
    [
        ("next_hypothesis", "Click an object first"),
        ("next_object", "No object is outlined yet"),
        ("undo", "There is nothing to undo"),
        ("redo", "There is nothing to redo"),
        ("remove", "No object is outlined yet"),
        ("run", "No object is outlined yet"),
        ("stop", "Nothing is running"),
    ],
)
def test_image_without_prompts_allows_prompting_alone(
    bench: Bench, action: Action, beginning: str
) -> None:
    assert why_disabled(bench.controller, action).startswith(beginning)
    assert why_disabled(bench.controller, "prompt") == ""
    assert why_disabled(bench.controller, "change_layout") == ""


@pytest.mark.parametrize("action", ["next_hypothesis", "next_object", "undo", "remove", "run"])
def test_click_enables_what_comes_next(bench: Bench, action: Action) -> None:
    bench.click_disk(0)

    assert why_disabled(bench.controller, action) == ""


def test_undo_enables_redo(bench: Bench) -> None:
    bench.click_disk(0)

    bench.controller.undo()

    assert why_disabled(bench.controller, "redo") == ""


def test_run_is_stopped_before_the_next(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()

    held.run()

    assert "already" in why_disabled(held.controller, "run")
    assert why_disabled(held.controller, "stop") == ""
    assert why_disabled(held.controller, "change_layout") == "Stop the propagation first."
    assert why_disabled(held.controller, "prompt") == ""


def test_single_frame_is_not_propagated_through(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(MOVIE[0])

    bench.click(30, 10)

    assert why_disabled(bench.controller, "run").startswith("The image has one frame")


def test_prompts_of_another_stack_are_not_propagated_in_this_one(
    bench_of: Callable[..., Bench],
) -> None:
    bench = bench_of(np.stack([MOVIE, MOVIE]), axis_labels=("t", "z", "y", "x"))
    bench.controller.focus.choose_frame_axis(1)
    bench.click(0, 3, 30, 22)

    bench.go_to(1, 3)

    assert why_disabled(bench.controller, "run").startswith("No object is outlined yet")


def test_prompts_are_not_drawn_in_3d(bench: Bench) -> None:
    bench.viewer.dims.ndisplay = 3

    assert "2D/3D button" in why_disabled(bench.controller, "prompt")


def test_prompts_are_not_drawn_on_a_section_across_frames(bench: Bench) -> None:
    bench.viewer.dims.order = (1, 0, 2)

    assert "rows and columns" in why_disabled(bench.controller, "prompt")
    assert not bench.controller.takes_click()


def test_prompts_are_drawn_on_a_turned_frame(bench: Bench) -> None:
    bench.viewer.dims.order = (0, 2, 1)

    assert why_disabled(bench.controller, "prompt") == ""
    assert bench.controller.takes_click()

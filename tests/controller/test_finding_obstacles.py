"""Every sentence that says why something about finding cannot be done now."""

from typing import get_args

import pytest

from napari_sam3.controller.finding_obstacles import FindAction, obstacle_to
from tests.controller.bench import Bench
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

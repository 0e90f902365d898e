"""Finding them all: by exemplars, by text, or whatever they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from napari.layers import Labels, Shapes

from napari_sam3.controller import candidates as candidates_module
from napari_sam3.controller.concept import CandidateStore
from napari_sam3.engine import Selection
from tests.controller.colonies import CENTRES, COLONY, SURE, Colony, seen_on
from tests.controller.conftest import Disk
from tests.jobs import HeldJobs

CORNERS = [(0, 30, 30), (0, 30, 50), (0, 50, 50), (0, 50, 30)]
"""Of a box on the first frame."""


@pytest.fixture
def colony() -> Colony:
    """Disks that are found at once."""
    return Colony()


@pytest.fixture
def held() -> Colony:
    """Disks that are found when a test lets them be."""
    return Colony(HeldJobs())


def test_everything_is_found_on_the_frame_that_is_looked_at(colony: Colony) -> None:
    colony.search.find_everything()

    assert colony.shown(0) == list(range(SURE))
    assert not np.any(colony.layer().data[1])
    assert colony.layer().name == "everything"
    assert colony.messages == []


def test_counts_are_told(colony: Colony) -> None:
    colony.search.find_everything()

    candidate_count = colony.search.candidate_count
    assert candidate_count.shown == SURE
    assert candidate_count.summary == "3 found, 2 below"
    assert candidate_count.scores == (pytest.approx(0.6), pytest.approx(0.9))
    assert candidate_count.windows == 1


def test_nothing_is_told_of_a_frame_that_was_not_looked_at(colony: Colony) -> None:
    colony.search.find_everything()

    colony.go_to(1)

    assert colony.search.candidate_count is None


def test_threshold_moves_without_the_model(colony: Colony) -> None:
    colony.search.find_everything()
    encoded = colony.backend.encoded

    for threshold, shown in [(0.8, [0]), (0.7, [0, 1]), (0.0, list(range(5)))]:
        colony.select(threshold=threshold)
        assert colony.shown() == shown

    assert colony.backend.encoded == encoded
    assert colony.backend.concepts == []


def test_drawn_exemplar_is_answered_when_the_mouse_is_released(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])

    (asked,) = colony.backend.concepts
    np.testing.assert_allclose(asked.exemplars[0], (4, 4, 20, 20))
    assert colony.shown() == list(range(SURE))
    assert colony.controller.tool == "exemplar"


def test_exemplars_are_drawn_in_a_layer_of_their_own(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])

    layer = colony.search.concepts.exemplars.layer
    assert isinstance(layer, Shapes)
    assert colony.viewer.layers.selection.active is layer
    assert layer in colony.controller.prompt_layers


def test_negative_exemplars_are_sent_as_such(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    colony.draw_box(CENTRES[1], "counterexample")

    asked = colony.backend.concepts[-1]
    assert (len(asked.exemplars), len(asked.negatives)) == (1, 1)


def test_removed_exemplar_is_no_longer_sent(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    colony.draw_box(CENTRES[1])
    layer = colony.search.concepts.exemplars.layer

    layer.selected_data = {0}
    layer.remove_selected()

    assert len(colony.backend.concepts[-1].exemplars) == 1


def test_nothing_is_left_when_the_last_exemplar_is_removed(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    layer = colony.search.concepts.exemplars.layer
    asked = len(colony.backend.concepts)

    layer.selected_data = {0}
    layer.remove_selected()

    assert colony.shown() == []
    assert len(colony.backend.concepts) == asked


def test_exemplar_of_one_frame_finds_on_another(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    colony.go_to(2)

    colony.search.find_again()

    assert colony.shown(2) == list(range(SURE))
    asked = colony.backend.concepts[-1]
    assert asked.boxes == []
    assert len(asked.shown) == 1


def test_two_phrases_make_two_layers(colony: Colony) -> None:
    colony.search.find_texts(["nucleus", "yeast"])

    assert [asked.text for asked in colony.backend.concepts] == ["nucleus", "yeast"]
    names = [layer.name for layer in colony.viewer.layers if isinstance(layer, Labels)]
    assert {"nucleus", "yeast"} <= set(names)


def test_same_phrase_is_the_same_concept(colony: Colony) -> None:
    colony.search.find_texts(["nucleus"])
    colony.go_to(1)

    colony.search.find_texts(["nucleus"])

    assert len(colony.search.concepts) == 1
    assert colony.shown(1) == list(range(SURE))


def test_whole_stack_is_looked_through(colony: Colony) -> None:
    colony.search.choose_extent("all frames")

    colony.search.find_texts(["nucleus", "yeast"])

    for concept in colony.search.concepts:
        layer = colony.layer(concept)
        assert [seen_on(np.asarray(layer.data[frame])) for frame in range(4)] == [
            list(range(SURE))
        ] * 4
    assert colony.backend.encoded == len(COLONY)


def test_stopped_stack_keeps_its_frames(held: Colony) -> None:
    held.search.choose_extent("all frames")
    held.search.find_everything()
    (stream,) = held.jobs.streams
    stream.advance(2)

    held.search.stop()
    stream.finish()

    assert not held.controller.annotation.detection.is_busy
    assert [bool(held.shown(frame)) for frame in range(4)] == [True, True, False, False]


def test_progress_of_a_stack_is_counted(held: Colony) -> None:
    held.search.choose_extent("all frames")
    held.search.find_everything()

    held.jobs.streams[0].advance(3)

    progress = held.controller.annotation.detection.progress
    assert (progress.done, progress.total) == (3, 4)


def test_newest_question_about_a_concept_wins(held: Colony) -> None:
    held.draw_box(CENTRES[0])
    held.draw_box(CENTRES[1])

    held.jobs.run_all()

    assert [len(asked.exemplars) for asked in held.backend.concepts] == [2]


def test_questions_about_two_frames_are_both_answered(held: Colony) -> None:
    held.search.find_everything()
    held.go_to(2)
    held.search.find_again()
    detection = held.controller.annotation.detection

    held.jobs.run_next()
    was_busy = detection.is_busy
    held.jobs.run_next()

    assert [held.shown(frame) for frame in (0, 2)] == [list(range(SURE))] * 2
    assert was_busy
    assert not detection.is_busy


def test_stop_drops_the_questions_about_all_frames(held: Colony) -> None:
    held.search.find_everything()
    held.go_to(2)
    held.search.find_again()

    held.search.stop()

    assert held.jobs.waiting == {}
    assert not held.controller.annotation.detection.is_busy


def test_other_frames_are_drawn_anew_when_sliding_ends(colony: Colony) -> None:
    colony.search.choose_extent("all frames")
    colony.search.find_everything()

    colony.select(threshold=0.8)
    before = colony.shown(3)
    colony.search.settle()

    assert before == list(range(SURE))
    assert [colony.shown(frame) for frame in range(4)] == [[0]] * 4


def test_frame_is_drawn_anew_when_it_is_visited(held: Colony) -> None:
    held.search.choose_extent("all frames")
    held.search.find_everything()
    held.jobs.streams[0].finish()
    held.select(threshold=0.8)

    held.go_to(3)

    assert [held.shown(frame) for frame in range(4)] == [[0], [0, 1, 2], [0, 1, 2], [0]]


def test_frames_whose_candidates_made_room_stay_as_they_were_drawn(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    colony.concept.store = CandidateStore(max_bytes=1)
    colony.search.choose_extent("all frames")

    colony.search.find_again()
    for frame in (1, 2, 3, 0):
        colony.go_to(frame)

    assert len(colony.concept.store.frame_indices()) == 1
    assert [colony.shown(frame) for frame in range(4)] == [list(range(SURE))] * 4


def test_nothing_is_left_of_frames_whose_candidates_made_room_either(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    colony.concept.store = CandidateStore(max_bytes=1)
    colony.search.choose_extent("all frames")
    colony.search.find_again()
    layer = colony.search.concepts.exemplars.layer

    layer.selected_data = {0}
    layer.remove_selected()

    assert [colony.shown(frame) for frame in range(4)] == [[]] * 4


def test_only_what_is_visible_is_found(colony: Colony) -> None:
    camera = colony.viewer.scene.camera
    camera.center, camera.zoom = (0, 0, 0), 1e3
    colony.search.choose_extent("what is visible")

    colony.search.find_everything()

    assert colony.search.candidate_count.shown == 0


@pytest.fixture
def look(colony: Colony, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Move the view to a box of the image, and find everything in it."""

    def find(*box: int) -> None:
        monkeypatch.setattr(candidates_module, "visible_box", lambda *_: box)
        colony.search.find_everything()

    colony.search.choose_extent("what is visible")
    return find


def test_what_was_found_elsewhere_stays(colony: Colony, look: Callable[..., None]) -> None:
    look(0, 0, 24, 24)
    look(0, 24, 24, 64)

    colony.select(threshold=0)
    assert colony.search.candidate_count.shown == 2
    frame_index = colony.controller.focus.frame_index
    assert colony.concept.position_at(frame_index, *CENTRES[0]) is not None
    assert colony.concept.position_at(frame_index, *CENTRES[1]) is not None


def test_what_is_found_again_counts_once(colony: Colony, look: Callable[..., None]) -> None:
    look(0, 0, 24, 64)
    look(0, 24, 24, 64)

    colony.select(threshold=0)
    assert colony.search.candidate_count.shown == 2


def test_what_was_thrown_out_stays_so_when_more_is_found(
    colony: Colony, look: Callable[..., None]
) -> None:
    look(0, 0, 24, 24)
    colony.pick(CENTRES[0])

    look(0, 24, 24, 64)

    colony.select(threshold=0)
    assert colony.search.candidate_count.shown == 1


def test_painted_pixels_stay_with_their_candidate(
    colony: Colony, look: Callable[..., None]
) -> None:
    look(0, 24, 24, 64)
    colony.layer().paint((0, 22, 44), 1)
    colony.search.choose_extent("this frame")

    colony.search.find_everything()

    position = colony.concept.position_at((0,), *CENTRES[1])
    assert position == 1
    assert colony.layer().data[0][22, 44] == position + 1


def test_pixels_painted_beside_candidates_are_none_of_them(colony: Colony) -> None:
    colony.search.find_everything()
    colony.layer().paint((0, 32, 60), 9)
    colony.layer().paint((1, 32, 60), 1)

    colony.search.find_everything()
    colony.go_to(1)
    colony.search.find_everything()

    assert colony.layer().data[0][32, 60] > len(CENTRES)
    assert colony.layer().data[1][32, 60] > len(CENTRES)


def test_frame_is_found_anew_as_a_whole(colony: Colony, look: Callable[..., None]) -> None:
    look(0, 0, 24, 24)
    colony.search.choose_extent("this frame")

    colony.search.find_everything()

    colony.select(threshold=0)
    assert colony.search.candidate_count.shown == len(CENTRES)


def test_chosen_concept_shows_its_own_exemplars(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    drawn = colony.concept
    colony.search.find_texts(["yeast"])
    exemplars = colony.search.concepts.exemplars
    of_yeast = exemplars.boxes()

    colony.search.choose_concept(drawn)

    assert of_yeast == ()
    assert len(exemplars.boxes()) == 1
    assert len(colony.backend.concepts) == 2


def test_box_drawn_while_everything_is_current_begins_a_concept(colony: Colony) -> None:
    colony.search.find_everything()

    colony.draw_box(CENTRES[0])

    assert [one.name for one in colony.search.concepts] == ["everything", "concept 2"]


def test_box_on_another_image_is_looked_for_there(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    image, exemplars = colony.image, colony.search.concepts.exemplars
    other = colony.viewer.add_image(np.repeat(COLONY[None], 3, axis=0))
    colony.controller.focus.choose_image(other)

    exemplars.layer.add_rectangles(np.array(CORNERS))

    assert colony.controller.focus.image is image
    assert len(colony.backend.concepts[-1].exemplars) == 2
    assert colony.messages == []


def test_box_for_an_image_that_is_gone_finds_nothing(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])
    exemplars, asked = colony.search.concepts.exemplars, len(colony.backend.concepts)
    colony.viewer.layers.remove(colony.image)
    colony.add_image(COLONY)

    exemplars.layer.add_rectangles(np.array(CORNERS))

    assert len(colony.backend.concepts) == asked


def test_removed_concept_takes_its_layer_along(colony: Colony) -> None:
    colony.search.find_everything()
    layer = colony.layer()

    colony.search.remove_concept()

    assert layer not in colony.viewer.layers
    assert colony.search.current is None


def test_deleted_layer_ends_its_concept(colony: Colony) -> None:
    colony.search.find_everything()

    colony.viewer.layers.remove(colony.layer())

    assert colony.search.current is None


def test_renamed_layer_renames_its_concept(colony: Colony) -> None:
    colony.search.find_everything()

    colony.layer().name = "my cells"

    assert colony.concept.name == "my cells"


def test_score_and_area_show_where_the_mouse_points(colony: Colony) -> None:
    colony.search.find_everything()

    features = colony.layer().features
    assert features["index"].tolist() == [1, 2, 3]
    assert features["score"].tolist() == [0.9, 0.75, 0.6]
    assert features["area"][0] > 100


def test_concept_layer_lies_on_the_image_and_under_the_prompts(colony: Colony) -> None:
    colony.draw_box(CENTRES[0])

    layers = colony.viewer.layers
    exemplars = colony.search.concepts.exemplars.layer
    assert layers.index(colony.image) < layers.index(colony.layer()) < layers.index(exemplars)


def test_model_that_reads_no_exemplars_says_so(colony: Colony) -> None:
    colony.backend.reads_exemplars = False

    colony.draw_box(CENTRES[0])

    assert len(colony.messages) == 1
    assert "exemplar" in colony.messages[0]
    assert not colony.controller.annotation.detection.is_busy


def test_new_concepts_take_over_the_levels(colony: Colony) -> None:
    colony.search.find_everything()
    colony.select(threshold=0.8)

    colony.search.find_texts(["nucleus"])

    assert colony.concept.levels == Selection(threshold=0.8)
    assert colony.shown() == [0]


def test_a_disk_that_is_full_is_told_and_survived(colony: Colony, disk: Disk) -> None:
    colony.draw_box(CENTRES[0])
    disk.is_full = True
    colony.select(threshold=0.8)
    summary = list(colony.messages)
    disk.is_full = False

    colony.select(threshold=0.7)

    assert "No room left" in summary[0]
    assert colony.shown() == [0, 1]


def test_image_that_is_deleted_while_picking_ends_quietly(colony: Colony) -> None:
    colony.search.find_everything()

    colony.viewer.layers.clear()

    assert colony.search.current is None
    assert colony.messages == []

"""Single candidates: kept, thrown out, used as exemplars, and made objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam3.controller.candidates import MANY
from napari_sam3.engine import Prompts
from tests.controller.colonies import CENTRES, SURE, Colony, seen_on
from tests.controller.conftest import Disk
from tests.jobs import HeldJobs
from tests.layers.results import seen


@pytest.fixture
def colony() -> Colony:
    """Disks, all found on the first frame."""
    made = Colony()
    made.search.find_everything()
    return made


def objects(colony: Colony) -> list[int]:
    """Return the ids of the objects that have a mask."""
    return [obj.id for obj in colony.workspace.objects if obj.results]


def test_rejected_candidate_is_clicked_back_in(colony: Colony) -> None:
    colony.pick(CENTRES[4])

    assert colony.shown() == [0, 1, 2, 4]
    assert colony.workspace.prompts.snapshot.keys == frozenset()


def test_accepted_candidate_is_thrown_out(colony: Colony) -> None:
    colony.pick(CENTRES[0])

    assert colony.shown() == [1, 2]
    assert colony.search.candidate_count.summary == "2 found, 2 below, 1 rejected"


def test_picks_survive_the_sliders(colony: Colony) -> None:
    colony.pick(CENTRES[0])
    colony.pick(CENTRES[4])

    for threshold in (0.95, 0.0, 0.7):
        colony.select(threshold=threshold)
        assert 0 not in colony.shown()
        assert 4 in colony.shown()


def test_picks_survive_another_question(colony: Colony) -> None:
    colony.pick(CENTRES[0])
    colony.pick(CENTRES[4])

    colony.search.find_everything()

    assert colony.shown() == [1, 2, 4]


def test_picks_belong_to_their_frame(colony: Colony) -> None:
    colony.pick(CENTRES[0])
    colony.go_to(1)

    colony.search.find_everything()

    assert colony.shown(1) == list(range(SURE))


def test_click_beside_all_candidates_changes_nothing(colony: Colony) -> None:
    colony.pick((30, 5))

    assert colony.shown() == list(range(SURE))
    assert colony.picking.picked is None
    assert colony.asked == []


def outlined_on(labels: NDArray[Any]) -> list[int]:
    """Name the disks that labels, (H, W), outline."""
    return seen_on(ndimage.binary_fill_holes(labels))


def test_what_does_not_count_is_outlined_while_picking(colony: Colony) -> None:
    faint = colony.search.concepts.faint.layer
    before = outlined_on(np.asarray(faint.data[0]))

    colony.pick(CENTRES[3])

    assert faint in colony.viewer.layers
    assert before == [3, 4]
    assert outlined_on(np.asarray(faint.data[0])) == [4]


def test_outlines_are_shown_in_3d_and_from_the_side(colony: Colony) -> None:
    faint = colony.search.concepts.faint.layer

    colony.viewer.dims.ndisplay = 3

    assert outlined_on(seen(faint)[0]) == [3, 4]
    assert not seen(faint)[1:].any()

    colony.viewer.dims.ndisplay = 2
    colony.viewer.dims.order = (1, 0, 2)
    colony.viewer.dims.set_current_step(1, CENTRES[4][0])

    assert seen(faint)[0].any()
    assert not seen(faint)[1:].any()


def test_outlines_go_with_the_tool(colony: Colony) -> None:
    colony.controller.choose_tool("positive")

    assert colony.search.concepts.faint.layer not in colony.viewer.layers


def test_picked_candidate_has_a_score(colony: Colony) -> None:
    colony.pick(CENTRES[3])

    assert colony.picking.picked.score == pytest.approx(0.45)
    assert colony.picking.picked.is_shown


def test_candidate_becomes_an_object(colony: Colony) -> None:
    colony.pick(CENTRES[4])

    colony.picking.make_object()

    (made,) = objects(colony)
    assert colony.controller.current.id == made
    assert seen_on(colony.mask(0, object_id=made)) == [4]
    assert colony.controller.score_here == pytest.approx(0.3)
    assert colony.shown() == [0, 1, 2]


def test_right_click_makes_an_object(colony: Colony) -> None:
    colony.click(0, *CENTRES[1], is_positive=False)

    (made,) = objects(colony)
    assert seen_on(colony.mask(0, object_id=made)) == [1]


def test_object_is_clicked_better(colony: Colony) -> None:
    colony.click(0, *CENTRES[1], is_positive=False)
    found = colony.mask(0, object_id=1)

    colony.controller.choose_tool("negative")
    colony.workspace.prompts.add_point((0, 12, 48), False)

    asked = colony.asked[-1]
    assert asked.positive.tolist() == [False]
    np.testing.assert_array_equal(asked.mask, found)
    better = colony.mask(0, object_id=1)
    assert better[12, 40]
    assert not better[12, 48]


def test_candidate_is_back_when_its_clicks_are_taken_back(colony: Colony) -> None:
    colony.click(0, *CENTRES[1], is_positive=False)
    found = colony.mask(0, object_id=1)
    colony.controller.choose_tool("negative")
    colony.workspace.prompts.add_point((0, 12, 48), False)

    colony.controller.undo()

    np.testing.assert_array_equal(colony.mask(0, object_id=1), found)


def test_object_is_followed_from_where_it_was_found(colony: Colony) -> None:
    colony.click(0, *CENTRES[1], is_positive=False)
    found = colony.mask(0, object_id=1)

    colony.run()

    for frame in range(4):
        np.testing.assert_array_equal(colony.mask(frame, object_id=1), found)


def test_all_that_counts_becomes_objects(colony: Colony) -> None:
    colony.picking.make_objects()

    assert objects(colony) == [1, 2, 3]
    assert [seen_on(colony.mask(0, object_id=one)) for one in (1, 2, 3)] == [[0], [1], [2]]
    assert colony.shown() == []


def test_undo_makes_candidates_of_objects_again(colony: Colony) -> None:
    colony.picking.make_objects()
    removed: list[frozenset[int]] = []
    colony.workspace.removed.connect(removed.append)

    colony.controller.undo()

    assert objects(colony) == []
    assert len(list(colony.workspace.objects)) == 1
    assert colony.shown() == list(range(SURE))
    assert removed == [{1, 2, 3}]
    assert not colony.workspace.history.can_redo


def test_undo_goes_back_over_corrections_before_it_takes_an_object_away(colony: Colony) -> None:
    colony.picking.make_objects()
    found = colony.mask(0, object_id=3)
    colony.workspace.prompts.add_point((0, 12, 48), False)

    colony.controller.undo()
    assert objects(colony) == [1, 2, 3]
    np.testing.assert_array_equal(colony.mask(0, object_id=3), found)

    colony.controller.undo()
    assert objects(colony) == []


def test_undo_leaves_an_object_that_was_followed(colony: Colony) -> None:
    colony.picking.make_objects()
    colony.run()

    colony.controller.undo()

    assert objects(colony) == [1, 2, 3]


def test_undo_leaves_an_object_that_was_painted_on(colony: Colony) -> None:
    colony.picking.make_objects()
    colony.workspace.results.layer_of(2).paint((0, 1, 1), 2)

    colony.controller.undo()

    assert objects(colony) == [2]


def test_undo_takes_back_objects_that_share_a_layer(colony: Colony) -> None:
    colony.controller.choose_layout("one layer")
    colony.picking.make_objects()
    layer = colony.workspace.results.layer_of(1)

    colony.controller.undo()

    assert not np.any(layer.data[0])


def test_painted_candidates_become_objects_as_they_are_seen(colony: Colony) -> None:
    layer = colony.layer()
    layer.brush_size = 6
    layer.paint((0, 12, 22), 1)
    painted = np.asarray(layer.data[0]) == 1
    layer.fill((0, *CENTRES[1]), 0)

    colony.picking.make_objects()

    assert [seen_on(colony.mask(0, object_id=one)) for one in objects(colony)] == [[0], [2]]
    np.testing.assert_array_equal(colony.mask(0, object_id=1), painted)
    assert colony.shown() == []


def test_objects_keep_what_was_prompted_before(colony: Colony) -> None:
    colony.controller.choose_tool("positive")
    colony.viewer.layers.selection.active = colony.image
    colony.click(0, 30, 5)

    colony.picking.make_objects()

    assert len(objects(colony)) == 4
    assert colony.mask(0, object_id=1)[30, 5]


def test_removed_object_is_a_candidate_again(colony: Colony) -> None:
    colony.click(0, *CENTRES[1], is_positive=False)

    colony.controller.remove_object(1)

    assert colony.shown() == list(range(SURE))
    assert colony.workspace.promoted == frozenset()


def test_many_objects_share_one_layer() -> None:
    pixels = np.zeros((64, 64), np.uint8)
    for row in range(2, 60, 12):
        for col in range(2, 60, 12):
            pixels[row : row + 8, col : col + 8] = 200
    many = Colony(pixels=pixels)
    told: list[str] = []
    many.picking.told.connect(told.append)
    many.search.find_everything()

    many.picking.make_objects()

    assert len(objects(many)) > MANY
    assert many.controller.annotations.layout == "one layer"
    assert len(told) == 1


def test_candidate_becomes_an_exemplar(colony: Colony) -> None:
    colony.pick(CENTRES[4])

    colony.picking.use_as_exemplar()

    (asked,) = colony.backend.concepts
    np.testing.assert_allclose(asked.exemplars[0], (43.5, 41.5, 56.5, 54.5))
    assert [one.name for one in colony.search.concepts] == ["everything", "concept 2"]


def test_candidate_thrown_out_becomes_a_negative_exemplar() -> None:
    colony = Colony()
    colony.draw_box(CENTRES[0])
    colony.pick(CENTRES[1])

    colony.picking.use_as_exemplar()

    assert len(colony.backend.concepts[-1].exemplars) == 1
    assert len(colony.backend.concepts[-1].negatives) == 1


def test_click_on_a_candidate_goes_before_a_stack_that_is_looked_through() -> None:
    held = Colony(HeldJobs())
    held.search.choose_extent("all frames")
    held.search.find_everything()
    held.jobs.streams[0].advance(1)

    held.pick(CENTRES[0])

    assert held.shown(0) == [1, 2]
    assert held.controller.annotation.detection.is_busy


def test_a_full_disk_leaves_candidates_as_they_were(colony: Colony, disk: Disk) -> None:
    colony.controller.choose_tool("exemplar")
    disk.is_full = True

    colony.picking.make_objects()

    assert objects(colony) == []
    assert any("No room left" in message for message in colony.messages)
    assert colony.search.candidate_count.shown == SURE


def test_prompts_on_an_adopted_frame_are_prompts(colony: Colony) -> None:
    colony.click(0, *CENTRES[1], is_positive=False)
    colony.controller.choose_tool("positive")

    colony.workspace.prompts.points.add((0, *CENTRES[1]))

    assert isinstance(colony.asked[-1], Prompts)
    assert colony.controller.starts == {1: [0]}

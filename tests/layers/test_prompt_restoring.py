from __future__ import annotations

import numpy as np
import pytest

from tests.layers import mouse
from tests.layers.prompting import SQUARE, PromptBench


@pytest.mark.parametrize("mode", ["add_polygon", "add_rectangle"])
def test_undoing_while_a_shape_is_drawn_leaves_nothing_of_it(flat: PromptBench, mode: str) -> None:
    flat.prompts.add_point((10, 10), True)
    before = flat.prompts.snapshot
    flat.prompts.add_point((15, 15), True)
    flat.draw(mode)
    drawing = mouse.dragging(flat.prompts.shapes, [(20, 20), (30, 30), (40, 40)])
    next(drawing)
    next(drawing)

    flat.prompts.restore(before)
    list(drawing)

    assert not flat.prompts.snapshot.keys_that_differ(before)
    assert len(flat.prompts.shapes.features) == 0


def test_a_snapshot_does_not_follow_the_layers(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    before = flat.prompts.snapshot

    flat.prompts.points.selected_data = {0}
    flat.prompts.points._move({0}, (30, 30))

    assert before.points.tolist() == [[10, 10]]


def test_restored_prompts_are_those_of_the_snapshot(deep: PromptBench) -> None:
    square = np.array([(1, 2, *corner) for corner in SQUARE])
    deep.prompts.add_point((1, 2, 10, 10), False)
    deep.prompts.shapes.add(square, shape_type="ellipse")
    deep.prompts.current_object = 2
    deep.prompts.add_point((0, 0, 5, 5), True)
    before, before_width = deep.prompts.snapshot, deep.prompts.shapes.edge_width
    deep.prompts.remove_objects([1])
    deep.prompts.add_point((2, 3, 5, 5), True)
    deep.heard.clear()

    deep.prompts.restore(before)

    assert not deep.prompts.snapshot.keys_that_differ(before)
    assert deep.heard == [[((1, 2), 1), ((2, 3), 2)]]
    assert deep.prompts.shapes.shape_type == ["ellipse"]
    assert deep.prompts.shapes.edge_width == before_width
    assert deep.prompts.points.shown.tolist() == [False, True]


def test_an_empty_state_can_be_restored(flat: PromptBench) -> None:
    empty = flat.prompts.snapshot
    flat.prompts.add_point((10, 10), True)
    flat.prompts.shapes.add(SQUARE, shape_type="polygon")
    flat.heard.clear()

    flat.prompts.restore(empty)

    assert flat.heard == [[((), 1)]]
    assert flat.prompts.snapshot.prompts() == {}
    assert len(flat.prompts.shapes.features) == 0


def test_after_restoring_new_points_belong_to_the_current_object(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), False)
    state = flat.prompts.snapshot
    flat.prompts.current_object = 2
    flat.prompts.restore(state)

    flat.prompts.points.add((20, 20))
    flat.prompts.shapes.add(SQUARE, shape_type="rectangle")

    prompts = flat.prompts.snapshot.prompts()[(), 2]
    assert prompts.positive.tolist() == [True]
    assert len(prompts.boxes) == 1


def test_a_removed_object_is_announced_once(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.prompts.shapes.add(SQUARE, shape_type="rectangle")
    flat.prompts.current_object = 2
    flat.prompts.add_point((20, 20), True)
    flat.heard.clear()

    flat.prompts.remove_objects([1])

    assert flat.heard == [[((), 1)]]
    assert list(flat.prompts.snapshot.prompts()) == [((), 2)]

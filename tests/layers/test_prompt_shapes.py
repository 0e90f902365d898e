from __future__ import annotations

import numpy as np
import pytest

from tests.layers import mouse
from tests.layers.prompting import SQUARE, PromptBench


def test_hidden_prompts_cannot_be_selected(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.prompts.shapes.add(SQUARE, shape_type="polygon")
    flat.prompts.current_object = 2
    flat.prompts.add_point((20, 20), True)

    flat.prompts.points.selected_data = {0, 1}
    flat.prompts.shapes.selected_data = {0}

    assert set(flat.prompts.points.selected_data) == {1}
    assert not flat.prompts.shapes.selected_data


def test_hidden_shapes_are_transparent_and_below(flat: PromptBench) -> None:
    flat.prompts.shapes.add(SQUARE, shape_type="polygon")
    flat.prompts.current_object = 2
    flat.prompts.shapes.add(SQUARE, shape_type="polygon")
    flat.prompts.current_object = 1

    shapes = flat.prompts.shapes
    assert (shapes.edge_color[:, 3] > 0).tolist() == [True, False]
    assert not shapes.face_color[1, 3]
    assert shapes.get_value((20, 20), world=True)[0] == 0


def test_a_rectangle_is_announced_when_it_is_finished(deep: PromptBench) -> None:
    deep.draw("add_rectangle")

    path = [(1, 2, 10, 12), (1, 2, 20, 22), (1, 2, 30, 42)]
    for _ in mouse.dragging(deep.prompts.shapes, path):
        assert deep.heard == []
        assert deep.prompts.snapshot.prompts() == {}

    assert deep.heard == [[((1, 2), 1)]]
    np.testing.assert_allclose(
        deep.prompts.snapshot.prompts()[(1, 2), 1].boxes, [(10, 12, 30, 42)], atol=0.1
    )


def test_an_ellipse_is_a_mask(flat: PromptBench) -> None:
    flat.draw("add_ellipse")

    mouse.drag(flat.prompts.shapes, [(10, 10), (20, 20), (50, 50)])

    assert flat.heard == [[((), 1)]]
    mask = flat.prompts.snapshot.prompts()[(), 1].mask
    assert mask is not None
    assert mask.shape == (100, 120)
    assert mask.sum() == pytest.approx(np.pi * 20**2, rel=0.05)


def test_a_polygon_is_announced_when_it_is_closed(flat: PromptBench) -> None:
    flat.prompts.current_object = 3
    flat.draw("add_polygon")
    shapes = flat.prompts.shapes
    for corner in SQUARE:
        mouse.move(shapes, corner)
        mouse.click(shapes, corner)
    assert flat.heard == []

    mouse.double_click(shapes, SQUARE[-1])

    assert flat.heard == [[((), 3)]]
    mask = flat.prompts.snapshot.prompts()[(), 3].mask
    assert mask is not None
    assert mask[20, 20]
    assert not mask[50, 50]


def test_a_lasso_is_a_mask(flat: PromptBench) -> None:
    flat.draw("add_polygon_lasso")
    angles = np.linspace(0, 2 * np.pi, 60)
    circle = [(50 + 20 * np.sin(angle), 50 + 20 * np.cos(angle)) for angle in angles]

    mouse.drag(flat.prompts.shapes, circle)

    assert flat.heard == [[((), 1)]]
    mask = flat.prompts.snapshot.prompts()[(), 1].mask
    assert mask is not None
    assert mask.sum() == pytest.approx(np.pi * 20**2, rel=0.1)


def test_a_polygon_given_up_leaves_no_trace(flat: PromptBench) -> None:
    flat.prompts.current_object = 5
    flat.draw("add_polygon")
    mouse.click(flat.prompts.shapes, (10, 10))
    mouse.double_click(flat.prompts.shapes, (10, 10))
    flat.prompts.current_object = 6

    mouse_box = [(40, 40), (50, 50), (60, 60)]
    flat.draw("add_rectangle")
    mouse.drag(flat.prompts.shapes, mouse_box)

    assert flat.heard == [[((), 6)]]
    assert flat.prompts.shapes.features["object"].tolist() == [6]
    assert flat.prompts.shapes.edge_color.shape == (1, 4)


def test_a_click_is_announced_while_a_polygon_is_being_drawn(flat: PromptBench) -> None:
    flat.draw("add_polygon")
    mouse.click(flat.prompts.shapes, (10, 10))

    flat.prompts.add_point((50, 50), True)

    assert flat.heard == [[((), 1)]]
    assert flat.prompts.snapshot.prompts()[(), 1].mask is None


def test_choosing_another_object_closes_the_polygon_being_drawn(flat: PromptBench) -> None:
    flat.draw("add_polygon")
    for corner in [*SQUARE, (20, 5)]:
        mouse.move(flat.prompts.shapes, corner)
        mouse.click(flat.prompts.shapes, corner)

    flat.prompts.current_object = 2
    mouse.move(flat.prompts.shapes, (70, 70))

    assert flat.heard == [[((), 1)]]
    assert flat.prompts.snapshot.prompts()[(), 1].mask is not None
    assert not flat.prompts.shapes.selected_data


def test_a_moved_shape_is_announced_when_it_is_let_go(flat: PromptBench) -> None:
    flat.prompts.shapes.add(SQUARE, shape_type="rectangle")
    flat.heard.clear()
    flat.draw("select")

    for _ in mouse.dragging(flat.prompts.shapes, [(20, 20), (25, 25), (30, 40)]):
        assert flat.heard == []

    assert flat.heard == [[((), 1)]]
    np.testing.assert_allclose(
        flat.prompts.snapshot.prompts()[(), 1].boxes, [(20, 30, 40, 50)], atol=0.1
    )


def test_a_shape_deleted_by_its_vertices_takes_its_features_along(flat: PromptBench) -> None:
    triangle = SQUARE[:3]
    flat.prompts.shapes.add(triangle, shape_type="polygon")
    flat.prompts.current_object = 2
    flat.prompts.shapes.add(triangle + 50, shape_type="polygon")
    flat.prompts.current_object = 1
    flat.heard.clear()
    flat.draw("select")
    flat.prompts.shapes.selected_data = {0}
    flat.prompts.shapes.mode = "vertex_remove"

    mouse.click(flat.prompts.shapes, (10, 10))

    assert flat.heard == [[((), 1)]]
    assert list(flat.prompts.snapshot.prompts()) == [((), 2)]
    assert flat.prompts.shapes.edge_color.shape == (1, 4)


def test_pasted_shapes_belong_to_the_current_object(deep: PromptBench) -> None:
    square = np.array([(1, 2, *corner) for corner in SQUARE])
    deep.prompts.shapes.add(square, shape_type="rectangle")
    deep.prompts.shapes.selected_data = {0}
    deep.prompts.shapes._copy_data()
    deep.prompts.current_object = 2
    deep.viewer.dims.set_current_step(1, 3)
    deep.heard.clear()

    deep.prompts.shapes._paste_data()

    assert deep.heard == [[((1, 3), 2)]]
    assert deep.prompts.shapes.edge_color[:, 3].tolist() == [0, 1]


def test_a_shape_across_frames_is_left_out(deep: PromptBench) -> None:
    tilted = np.array([(1, 0, 1, 1), (1, 1, 9, 9), (1, 2, 1, 9)], float)

    deep.prompts.shapes.add(tilted, shape_type="polygon")

    assert deep.prompts.snapshot.prompts() == {}


def test_points_and_outlines_of_a_frame_are_one_prompt(flat: PromptBench) -> None:
    flat.prompts.add_point((20, 20), True)
    flat.prompts.shapes.add(SQUARE, shape_type="rectangle")
    flat.prompts.shapes.add(SQUARE, shape_type="polygon")

    prompts = flat.prompts.snapshot.prompts()[(), 1]

    assert (len(prompts.points), len(prompts.boxes)) == (1, 1)
    assert prompts.mask is not None


def test_outlines_have_the_color_of_their_object(flat: PromptBench) -> None:
    flat.prompts.shapes.add(SQUARE, shape_type="rectangle")

    flat.prompts.object_color = (0.0, 0.5, 1.0, 1.0)
    flat.prompts.shapes.add(SQUARE + 9, shape_type="rectangle")

    assert flat.prompts.shapes.edge_color.tolist() == [[0, 0.5, 1, 1]] * 2

"""Boxes around exemplars, as a user draws them."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam3.layers.exemplar_layer import DrawnBox, ExemplarLayer
from tests.layers import mouse


@pytest.fixture
def exemplars() -> ExemplarLayer:
    """Exemplars on a stack of three frames, ready to be drawn."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 64, 64)), scale=(2, 0.5, 0.5))
    viewer.dims.set_current_step(0, 1)
    assert isinstance(image, Image)
    made = ExemplarLayer(image)
    viewer.add_layer(made.layer)
    made.layer.mode = "add_rectangle"
    return made


def draw(exemplars: ExemplarLayer) -> None:
    mouse.drag(exemplars.layer, [(1, 10, 20), (1, 15, 25), (1, 30, 40)])


def test_drawn_box_is_read_with_its_frame_and_sign(exemplars: ExemplarLayer) -> None:
    draw(exemplars)

    assert exemplars.boxes() == (DrawnBox((1,), (10, 20, 30, 40), True),)


def test_box_is_announced_once_when_the_mouse_is_released(exemplars: ExemplarLayer) -> None:
    announced: list[int] = []
    exemplars.changed.connect(lambda: announced.append(len(exemplars.boxes())))

    steps = mouse.dragging(exemplars.layer, [(1, 10, 20), (1, 15, 25), (1, 30, 40)])
    for _ in steps:
        assert announced == []

    assert announced == [1]


def test_negative_box_is_orange_and_positive_ones_stay_green(exemplars: ExemplarLayer) -> None:
    draw(exemplars)
    exemplars.is_positive = False
    mouse.drag(exemplars.layer, [(1, 40, 40), (1, 45, 45), (1, 60, 60)])

    assert [box.is_positive for box in exemplars.boxes()] == [True, False]
    green, orange = exemplars.layer.edge_color
    assert green[1] > green[0]
    assert orange[0] > orange[1]


def test_sign_survives_a_selection(exemplars: ExemplarLayer) -> None:
    draw(exemplars)
    exemplars.is_positive = False
    exemplars.layer.selected_data = {0}
    exemplars.layer.selected_data = set()

    mouse.drag(exemplars.layer, [(1, 40, 40), (1, 45, 45), (1, 60, 60)])

    assert [box.is_positive for box in exemplars.boxes()] == [True, False]


def test_deleted_box_is_announced(exemplars: ExemplarLayer) -> None:
    draw(exemplars)
    announced: list[int] = []
    exemplars.changed.connect(lambda: announced.append(len(exemplars.boxes())))

    exemplars.layer.selected_data = {0}
    exemplars.layer.remove_selected()

    assert announced == [0]


def test_click_without_a_drag_is_no_box(exemplars: ExemplarLayer) -> None:
    refused: list[str] = []
    exemplars.refused.connect(refused.append)

    mouse.click(exemplars.layer, (1, 10, 20))

    assert exemplars.boxes() == ()
    assert exemplars.layer.nshapes == 0
    assert refused == ["The box is too small: drag it around a whole object."]


def test_box_outside_the_image_is_refused(exemplars: ExemplarLayer) -> None:
    refused: list[str] = []
    exemplars.refused.connect(refused.append)

    mouse.drag(exemplars.layer, [(1, 80, 80), (1, 85, 85), (1, 90, 95)])

    assert exemplars.boxes() == ()
    assert refused == ["The box covers no pixel of the image: draw it inside the image."]


def test_boxes_that_are_shown_are_read_back_unannounced(exemplars: ExemplarLayer) -> None:
    announced: list[None] = []
    exemplars.changed.connect(lambda: announced.append(None))
    draw(exemplars)
    wanted = (DrawnBox((0,), (1, 2, 13, 14), False), DrawnBox((2,), (5, 5, 20, 20), True))

    exemplars.show(wanted)

    assert exemplars.boxes() == wanted
    assert len(announced) == 1


def test_exemplars_lie_exactly_on_the_image(exemplars: ExemplarLayer) -> None:
    np.testing.assert_allclose(exemplars.layer.scale, (2, 0.5, 0.5))

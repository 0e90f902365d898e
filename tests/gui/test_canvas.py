"""Clicks and keys where the image is."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from tests.controller.bench import PATH
from tests.gui.backends import PacedBackend
from tests.gui.window import RIGHT, Window

TOOL_KEYS = {
    Qt.Key.Key_P: "positive",
    Qt.Key.Key_N: "negative",
    Qt.Key.Key_B: "box",
    Qt.Key.Key_L: "outline",
}


def click_cell(window: Window) -> None:
    window.click(PATH[0])
    window.until(lambda: window.dock.controller.hypothesis)


def test_click_on_the_image_becomes_a_mask(window: Window) -> None:
    click_cell(window)

    labels = window.viewer.layers["cell 1"]
    row, col = PATH[0]
    assert np.asarray(labels.data[0])[row, col] == 1
    assert window.viewer.layers.selection.active is window.viewer.layers["disks points"]


def test_second_click_lands_in_the_points_layer(window: Window, backend: PacedBackend) -> None:
    click_cell(window)

    window.click((50, 50))

    window.until(lambda: len(backend.prompts) == 2)
    assert backend.prompts[-1].points.round().tolist() == [[30, 10], [50, 50]]


def test_right_click_is_outside_of_the_object(window: Window, backend: PacedBackend) -> None:
    click_cell(window)

    window.click((30, 14), RIGHT)
    window.until(lambda: len(backend.prompts) == 2)
    window.click((30, 6))
    window.until(lambda: len(backend.prompts) == 3)

    assert backend.prompts[-1].positive.tolist() == [True, False, True]


def test_drag_on_the_image_moves_it_and_prompts_nothing(window: Window) -> None:
    window.drag([(10, 10), (20, 20), (30, 30)])

    assert len(window.viewer.layers) == 1


def test_box_is_dragged(window: Window, backend: PacedBackend) -> None:
    window.key(Qt.Key.Key_B)

    window.drag([(10, 10), (20, 20), (40, 50)])

    window.until(lambda: backend.prompts)
    np.testing.assert_allclose(backend.prompts[-1].boxes, [[10, 10, 40, 50]], atol=1)


def test_outline_is_drawn_by_hand(window: Window, backend: PacedBackend) -> None:
    window.key(Qt.Key.Key_L)

    window.drag([(10, 10), (10, 25), (10, 40), (25, 40), (40, 40), (40, 25), (40, 10), (25, 10)])

    window.until(lambda: backend.prompts)
    outline = backend.prompts[-1].mask
    assert outline is not None
    assert outline[25, 25]
    assert not outline[50, 50]


@pytest.mark.parametrize("layer", ["disks", "disks points", "disks outlines"])
def test_keys_choose_the_tool_whatever_layer_is_active(window: Window, layer: str) -> None:
    window.dock.controller.begin()
    tools = {}

    for key in TOOL_KEYS:
        window.viewer.layers.selection.active = window.viewer.layers[layer]
        window.key(key)
        tools[key] = window.dock.controller.tool

    assert tools == TOOL_KEYS


@pytest.mark.parametrize("layer", ["disks", "disks points", "disks outlines"])
def test_keys_go_on_with_hypotheses_objects_and_runs(window: Window, layer: str) -> None:
    controller = window.dock.controller
    click_cell(window)
    window.viewer.layers.selection.active = window.viewer.layers[layer]

    window.key(Qt.Key.Key_A)
    window.until(lambda: controller.hypothesis and controller.hypothesis.position == 1)
    window.key(Qt.Key.Key_G)
    window.until(
        lambda: controller.annotation.workspace.frames_done(controller.current, _axes(window)) == 10
    )
    window.viewer.layers.selection.active = window.viewer.layers[layer]
    window.key(Qt.Key.Key_M)

    assert controller.current.id == 2


def test_keys_undo_and_redo(window: Window) -> None:
    click_cell(window)
    history = window.dock.controller.annotation.workspace.history

    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    undone = history.can_undo
    window.key(
        Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )

    assert not undone
    assert history.can_undo


def test_labels_layer_keeps_its_keys(window: Window) -> None:
    click_cell(window)
    labels = window.viewer.layers["cell 1"]
    window.viewer.layers.selection.active = labels

    window.key(Qt.Key.Key_P)
    painting = labels.mode
    window.key(Qt.Key.Key_L)

    assert painting == "paint"
    assert labels.mode == "pick"
    assert window.dock.controller.tool == "positive"


def test_undo_of_a_brush_stroke_is_left_to_napari(window: Window) -> None:
    click_cell(window)
    labels = window.viewer.layers["cell 1"]
    window.viewer.layers.selection.active = labels
    labels.paint((0, 50, 50), 1)

    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    assert not np.asarray(labels.data[0])[50, 50]
    assert np.asarray(labels.data[0])[PATH[0]]


def test_hidden_dock_leaves_keys_and_clicks_to_napari(window: Window) -> None:
    keys, callbacks = len(window.viewer.keymap), len(window.viewer.mouse_drag_callbacks)

    window.dock.hide()
    window.click(PATH[0])
    window.key(Qt.Key.Key_B)

    assert len(window.viewer.layers) == 1
    assert window.dock.controller.tool == "positive"
    assert len(window.viewer.keymap) < keys
    assert len(window.viewer.mouse_drag_callbacks) == callbacks - 1


def test_dock_that_is_shown_again_takes_them_again(window: Window) -> None:
    window.dock.hide()
    window.dock.show()

    click_cell(window)

    assert "cell 1" in window.viewer.layers


def test_closed_dock_leaves_keys_and_clicks_to_napari(window: Window) -> None:
    click_cell(window)
    points = window.viewer.layers["disks points"]

    window.viewer.window.remove_dock_widget(window.dock)
    window.dock.close()

    assert window.viewer.keymap == {}
    assert points.keymap == {}


def _axes(window: Window):
    return window.dock.controller.focus.axes

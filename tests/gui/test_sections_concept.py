"""Finding all objects with the mouse and the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractSlider

from napari_sam3.engine import ExemplarLibrary
from tests.controller.colonies import CENTRES, COLONY, SURE, seen_on
from tests.gui.backends import PacedBackend
from tests.gui.window import RIGHT, Window


@pytest.fixture
def window(open_window: Callable[..., Window], backend: PacedBackend, tmp_path: Path) -> Window:
    """A stack of disks, a model that reads exemplars, and the dock."""
    backend.reads_exemplars = True
    opened = open_window(COLONY, name="colony")
    opened.dock.controller.keeping.library = ExemplarLibrary(tmp_path / "library")
    return opened


def find_everything(window: Window) -> None:
    window.press(window.dock.concepts.panel.everything)
    window.until(lambda: window.dock.controller.search.candidate_count)
    window.settle()


def shown(window: Window) -> list[int]:
    return seen_on(np.asarray(window.dock.controller.search.current.sheet.layer.data[0]))


def box(window: Window, centre: tuple[int, int]) -> None:
    (row, col) = centre
    window.drag([(row - 8, col - 8), (row, col), (row + 8, col + 8)])
    window.until(lambda: window.dock.controller.search.candidate_count)


def test_everything_is_counted(window: Window) -> None:
    find_everything(window)

    assert shown(window) == list(range(SURE))
    assert window.dock.concepts.panel.found.value == "3 found, 2 below, scores 0.60 to 0.90"
    assert "Windows searched: 1." in window.dock.concepts.panel.found.tooltip


def test_slider_acts_without_the_model(window: Window, backend: PacedBackend) -> None:
    find_everything(window)
    before = backend.encoded
    slider = window.dock.concepts.panel.sliders.threshold.native.findChild(QAbstractSlider)

    for _ in range(20):
        QTest.keyClick(slider, Qt.Key.Key_Right)
    window.until(lambda: shown(window) == [0, 1])

    assert backend.encoded == before
    assert window.dock.concepts.panel.sliders.threshold.value == pytest.approx(0.7)


def test_exemplar_is_drawn_with_its_key(window: Window, backend: PacedBackend) -> None:
    window.key(Qt.Key.Key_E)

    box(window, CENTRES[0])

    np.testing.assert_allclose(backend.concepts[-1].exemplars[0], (4, 4, 20, 20), atol=1)
    assert shown(window) == list(range(SURE))


def test_negative_exemplar_is_drawn_with_shift(window: Window, backend: PacedBackend) -> None:
    window.key(Qt.Key.Key_E)
    box(window, CENTRES[0])

    window.key(Qt.Key.Key_E, Qt.KeyboardModifier.ShiftModifier)
    box(window, CENTRES[1])

    window.until(lambda: len(backend.concepts) == 2)
    assert len(backend.concepts[-1].negatives) == 1


def test_clicks_pick_and_right_clicks_make_objects(window: Window) -> None:
    find_everything(window)

    window.click(CENTRES[4])
    picked = shown(window)
    window.click(CENTRES[1], RIGHT)

    assert picked == [0, 1, 2, 4]
    assert shown(window) == [0, 2, 4]
    assert window.dock.controller.starts == {1: [0]}


def test_keys_go_back_to_prompting(window: Window) -> None:
    find_everything(window)

    window.key(Qt.Key.Key_P)
    window.settle()

    assert window.dock.prompt.tools["positive"].native.isChecked()
    assert not window.dock.concepts.panel.tools["pick"].native.isChecked()


def test_letters_of_the_keys_are_on_the_buttons(window: Window) -> None:
    texts = [tool.native.text() for tool in window.dock.concepts.panel.tools.values()]

    assert [text[-1] for text in texts] == ["E", "E", "K"]


def test_model_without_text_opens_the_list_of_models(window: Window) -> None:
    window.settle()
    panel = window.dock.concepts.panel

    window.press(panel.no_text)

    assert not panel.text.visible
    assert window.dock.model.dialog.isVisible()
    window.dock.model.dialog.close()


def test_typed_phrases_are_found(window: Window, backend: PacedBackend) -> None:
    backend.reads_text = True
    window.settle()
    field = window.dock.concepts.panel.text.native

    QTest.keyClicks(field, "disk; dot, not speck")
    QTest.keyClick(field, Qt.Key.Key_Return)

    window.until(lambda: len(window.dock.controller.search.concepts) == 2)
    window.until(lambda: not window.dock.controller.annotation.detection.is_busy)
    names = [concept.name for concept in window.dock.controller.search.concepts]
    assert names == ["disk", "dot, not speck"]
    window.settle()
    assert "A box finds more than text." in window.dock.concepts.panel.found.value


def test_text_without_a_concept_is_refused_in_a_sentence(
    window: Window, backend: PacedBackend, messages: list[Any]
) -> None:
    backend.reads_text = True
    window.settle()
    field = window.dock.concepts.panel.text.native

    QTest.keyClicks(field, "not debris")
    QTest.keyClick(field, Qt.Key.Key_Return)

    assert "says only what is not meant" in str(messages[-1].message)


def test_unfolded_rows_take_the_space_of_the_panels_below(window: Window) -> None:
    height = window.dock.minimumSizeHint().height()
    panel = window.dock.concepts.panel

    panel.more.native.click()
    window.settle()
    unfolded = panel.sliders.widget.native.isVisible()
    unfolded_height = window.dock.minimumSizeHint().height()
    panel.more.native.click()
    window.settle()

    assert unfolded
    assert unfolded_height <= height + 20
    assert window.dock.propagate.widget.native.isVisible()


def test_controls_say_why_they_cannot_be_used(window: Window) -> None:
    window.settle()
    panel = window.dock.concepts.panel

    for control in (panel.object, panel.objects, panel.find, panel.sliders.threshold):
        assert not control.enabled
        assert "\n" in control.tooltip


def test_exemplars_are_saved_in_the_library(window: Window) -> None:
    window.key(Qt.Key.Key_E)
    box(window, CENTRES[0])
    section = window.dock.concepts
    window.press(section.panel.more)
    section.panel.library.native.click()

    QTest.keyClicks(section.library.name.native, "my disks")
    section.library.save.native.click()
    window.until(lambda: section.library.names.choices == ("my disks",))
    section.library.names.value = ["my disks"]
    section.library.use.native.click()

    window.until(lambda: window.dock.controller.search.current.name == "my disks")
    window.until(lambda: window.dock.controller.search.candidate_count)
    assert not section.library.thumbnails.native.pixmap().isNull()
    section.library.close()

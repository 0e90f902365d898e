"""The dock: what it shows, what it lets a user do, and how it is opened and closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QTreeWidget,
    QWidget,
)

from napari_sam3.engine import ModelError
from napari_sam3.gui import dock as docks
from napari_sam3.gui.dock import KeptDock, SegmentationDock
from tests.controller.bench import MOVIE, PATH
from tests.gui.backends import PacedBackend
from tests.gui.window import DOCK, Window, grab_screen, visible_windows, windows_on_screen

CONTROLS = (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QTreeWidget,
)
HEIGHT = 640  # what a window of 768 rows leaves for a dock


def controls(dock: QWidget) -> list[QWidget]:
    """Return all controls of the dock."""
    return [child for child in dock.findChildren(QWidget) if isinstance(child, CONTROLS)]


def click_cell(window: Window, frame: int = 0) -> None:
    window.viewer.dims.set_current_step(0, frame)
    window.click(PATH[frame])
    window.until(lambda: window.dock.controller.hypothesis)
    window.settle()


def test_dock_fits_a_small_screen(window: Window) -> None:
    assert window.dock.width() <= 400
    assert window.dock.minimumSizeHint().width() <= 400
    assert window.dock.minimumSizeHint().height() <= HEIGHT


def test_every_control_has_a_tooltip_of_its_own(window: Window) -> None:
    without = [control for control in controls(window.dock) if not tip(control).strip()]

    assert [(type(control).__name__, control.objectName()) for control in without] == []


def test_what_cannot_work_says_why(open_window: Callable[..., Window]) -> None:
    window = open_window()

    disabled = [control for control in controls(window.dock) if not control.isEnabled()]

    assert window.dock.prompt.next_object.native in disabled
    assert window.dock.propagate.run.native in disabled
    buttons = [control for control in disabled if isinstance(control, QPushButton)]
    assert [button.text() for button in buttons if "\n" not in tip(button)] == []


def test_disabled_tools_say_that_there_is_no_image(open_window: Callable[..., Window]) -> None:
    window = open_window()

    tools = [tool.native for tool in window.dock.prompt.tools.values()]

    assert not any(tool.isEnabled() for tool in tools)
    assert all("There is no image yet" in tool.toolTip() for tool in tools)


def test_click_enables_what_can_be_done_next(window: Window) -> None:
    click_cell(window)

    dock = window.dock
    for button in (dock.prompt.next_object, dock.prompt.undo, dock.prompt.next_hypothesis):
        assert button.native.isEnabled()
        assert "\n" not in button.native.toolTip()
    assert not dock.prompt.redo.native.isEnabled()
    assert dock.propagate.run.native.isEnabled()


def test_letters_of_the_keys_are_on_the_buttons(window: Window) -> None:
    dock = window.dock
    buttons = [*dock.prompt.tools.values(), dock.prompt.next_hypothesis, dock.prompt.next_object]
    letters = [button.native.text().split()[-1] for button in [*buttons, dock.propagate.run]]

    assert letters == ["P", "N", "B", "L", "A", "M", "G"]


def test_current_tool_is_the_button_that_is_down(window: Window) -> None:
    window.key(Qt.Key.Key_N)
    window.settle()

    down = [name for name, tool in window.dock.prompt.tools.items() if tool.native.isChecked()]
    assert down == ["negative"]


def test_objects_are_listed_with_frames_and_score(window: Window) -> None:
    click_cell(window)

    item = window.dock.objects.table.topLevelItem(0)
    assert [item.text(column) for column in range(3)] == ["cell 1", "1 of 10", "0.90"]


def test_run_and_stop_are_buttons(window: Window, backend: PacedBackend) -> None:
    click_cell(window)
    backend.hold_back()
    window.press(window.dock.propagate.run)
    running = window.dock.controller.is_running

    window.press(window.dock.propagate.stop)
    backend.go_on()

    assert running
    assert not window.dock.controller.is_running


def test_clicks_become_masks_during_a_run(window: Window, backend: PacedBackend) -> None:
    controller = window.dock.controller
    click_cell(window)
    backend.hold_back()
    window.press(window.dock.propagate.run)
    window.until(lambda: backend.is_waiting)

    window.viewer.dims.set_current_step(0, 9)
    window.click((50, 20))
    backend.take_step()
    window.until(lambda: controller.hypothesis)

    assert controller.is_running
    backend.go_on()
    window.until(lambda: not controller.is_running)
    last = np.asarray(window.viewer.layers["cell 1"].data[9])
    assert last[50, 20]
    assert not last[PATH[9]]


def test_run_shows_its_progress(window: Window, backend: PacedBackend) -> None:
    click_cell(window)
    backend.hold_back()
    window.press(window.dock.propagate.run)

    for _ in range(3):
        backend.take_step()
    window.until(lambda: window.dock.controller.progress.done == 4)
    window.settle()

    assert window.dock.propagate.progress.native.text().startswith("4 of 10 masks")
    assert window.dock.objects.table.topLevelItem(0).text(1) == "4 of 10"
    backend.go_on()
    window.until(lambda: not window.dock.controller.is_running)


def test_error_is_one_sentence_without_a_traceback(
    window: Window, backend: PacedBackend, monkeypatch: pytest.MonkeyPatch, messages: list[Any]
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("The model is out of memory: close another image.")

    monkeypatch.setattr(backend, "segment", fail)

    window.click(PATH[0])

    window.until(lambda: messages)
    assert [str(notification.message) for notification in messages] == [
        "The model is out of memory: close another image."
    ]
    assert not hasattr(messages[0], "exception")


def test_removal_needs_consent(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    click_cell(window)
    buttons = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: buttons.pop(0))

    window.dock.objects.remove.click()
    kept = "cell 1" in window.viewer.layers
    window.dock.objects.remove.click()

    assert kept
    assert "cell 1" not in window.viewer.layers


def test_viewer_closed_during_a_run_leaves_quietly(window: Window, backend: PacedBackend) -> None:
    click_cell(window)
    jobs = window.dock.jobs
    backend.hold_back()
    window.press(window.dock.propagate.run)
    window.until(lambda: backend.is_waiting)

    window.viewer.close()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    backend.go_on()

    window.until(lambda: not jobs._streams)


def test_dock_opens_from_the_menu(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer()

    _, kept = viewer.window.add_plugin_dock_widget("napari-sam3", DOCK)

    assert type(kept.dock) is SegmentationDock
    assert kept.dock.controller.viewer is viewer


def tip(control: QWidget) -> str:
    """Return the tooltip of a control, or of the group or the slider it belongs to."""
    is_in_group = isinstance(control, QRadioButton | QAbstractSpinBox)
    parent = control.parentWidget()
    return control.toolTip() or (parent.toolTip() if is_in_group and parent else "")


def test_range_is_that_of_the_pixels_that_replaced_others(window: Window) -> None:
    image = window.dock.controller.focus.image
    assert window.dock.propagate.last.value == 9

    image.data = image.data[:4]
    window.settle()

    assert window.dock.propagate.last.value == 3
    assert window.dock.propagate.last.max == 3


@pytest.fixture
def menu_window(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Window:
    """A time-lapse of one disk, and the dock opened as from the menu, with the real model."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(MOVIE, name="disks")
    viewer.dims.set_current_step(0, 0)
    return reopened(Window(viewer, opened(viewer).dock, qtbot))


def opened(viewer: Any) -> KeptDock:
    """Open the dock as napari's menu does."""
    _, kept = viewer.window.add_plugin_dock_widget("napari-sam3", DOCK)
    assert isinstance(kept, KeptDock)
    return kept


def close(window: Window) -> None:
    """Close the dock as its cross does."""
    shell, _ = window.viewer.window.add_plugin_dock_widget("napari-sam3", DOCK)
    shell.title.close_button.click()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()


def reopened(window: Window) -> Window:
    """Open the dock once more, and wait for its model."""
    dock = opened(window.viewer).dock
    again = Window(window.viewer, dock, window.qtbot)
    again.until_ready()
    again.viewer.reset_view()
    again.settle()
    return again


def click(window: Window, position: tuple[float, float]) -> None:
    window.click(position)
    window.until(lambda: not window.dock.jobs.is_busy)
    window.settle()


def names(window: Window) -> list[str]:
    table = window.dock.objects.table
    return [table.topLevelItem(row).text(0) for row in range(table.topLevelItemCount())]


def test_opening_the_dock_opens_no_other_window(
    make_napari_viewer: Callable[..., Any], qtbot: Any, pictures: Path
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(MOVIE, name="disks")
    QApplication.processEvents()
    before = visible_windows()

    window = Window(viewer, opened(viewer).dock, qtbot)
    window.until_ready()
    window.settle()

    grab_screen(pictures / "screen.png")
    assert before == [viewer.window._qt_window]
    assert visible_windows() == before
    assert windows_on_screen() == before


def test_windows_of_the_dock_open_on_request(menu_window: Window) -> None:
    dock = menu_window.dock

    menu_window.press(dock.model.panel.more)
    dock.concepts.panel.library.native.click()
    QApplication.processEvents()

    main = menu_window.viewer.window._qt_window
    assert set(visible_windows()) == {main, dock.model.dialog, dock.concepts.library}
    dock.model.dialog.close()
    dock.concepts.library.close()


def test_objects_are_there_after_the_dock_was_closed(menu_window: Window) -> None:
    click(menu_window, PATH[0])
    before = names(menu_window)

    close(menu_window)
    again = reopened(menu_window)

    assert before
    assert names(again) == before
    assert again.dock.isVisible()
    assert again.dock.parentWidget() is not None


def test_clicks_go_on_with_the_object_that_was_current(menu_window: Window) -> None:
    click(menu_window, PATH[0])
    close(menu_window)

    again = reopened(menu_window)
    row, col = PATH[0]
    click(again, (row + 1, col + 1))

    assert names(again) == names(menu_window)
    assert len(again.dock.controller.annotation.workspace.prompts.points.data) == 2


def test_closed_dock_leaves_clicks_and_keys_to_napari(menu_window: Window) -> None:
    close(menu_window)

    menu_window.click(PATH[0])

    assert menu_window.dock.controller.annotation is None
    assert not menu_window.dock.isVisible()


def test_clicks_draw_no_prompts_while_the_dock_is_closed(menu_window: Window) -> None:
    click(menu_window, PATH[0])
    menu_window.dock.controller.choose_tool("positive")
    prompts = menu_window.dock.controller.annotation.workspace.prompts.points
    assert prompts.mode == "add"

    close(menu_window)
    menu_window.click((50, 50))

    assert len(prompts.data) == 1
    assert prompts.mode == "pan_zoom"


def test_only_one_dock_listens_to_a_viewer(menu_window: Window) -> None:
    for _ in range(3):
        close(menu_window)
        menu_window = reopened(menu_window)
    click(menu_window, PATH[0])

    listening = [
        dock for dock in docks._docks.values() if dock.controller.viewer is menu_window.viewer
    ]
    assert listening == [menu_window.dock]
    assert len(menu_window.dock.controller.annotation.workspace.prompts.points.data) == 1


@pytest.mark.parametrize("is_closed", [True, False])
def test_dock_ends_with_its_window(menu_window: Window, is_closed: bool) -> None:
    dock: SegmentationDock = menu_window.dock
    click(menu_window, PATH[0])
    if is_closed:
        close(menu_window)

    main = dock.window() if not is_closed else menu_window.viewer.window._qt_window
    menu_window.viewer.close()
    main.deleteLater()
    for _ in range(3):
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QApplication.processEvents()

    assert not isalive(dock)
    assert dock not in docks._docks.values()

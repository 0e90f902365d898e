"""The dock, closed and opened again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_sam3.gui import kept_dock
from napari_sam3.gui.dock import SegmentationDock
from napari_sam3.gui.kept_dock import KeptDock
from tests.controller.bench import MOVIE, PATH
from tests.gui.window import Window

NAME = "SAM 3: segment and follow"


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Window:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(MOVIE, name="disks")
    viewer.dims.set_current_step(0, 0)
    return reopened(Window(viewer, opened(viewer).dock, qtbot))


def opened(viewer: Any) -> KeptDock:
    """Open the dock as napari's menu does."""
    _, kept = viewer.window.add_plugin_dock_widget("napari-sam3", NAME)
    kept_now: KeptDock = kept
    return kept_now


def close(window: Window) -> None:
    """Close the dock as its cross does."""
    shell, _ = window.viewer.window.add_plugin_dock_widget("napari-sam3", NAME)
    shell.title.close_button.click()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()


def reopened(window: Window) -> Window:
    """Open the dock once more, and wait for its model."""
    dock = opened(window.viewer).dock
    again = Window(window.viewer, dock, window.qtbot)
    again.until(lambda: "ready" in dock.model.state.value)
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


def test_objects_are_there_after_the_dock_was_closed(window: Window) -> None:
    click(window, PATH[0])
    before = names(window)

    close(window)
    again = reopened(window)

    assert before
    assert names(again) == before
    assert again.dock.isVisible()
    assert again.dock.parentWidget() is not None


def test_clicks_go_on_with_the_object_that_was_at_work(window: Window) -> None:
    click(window, PATH[0])
    close(window)

    again = reopened(window)
    row, col = PATH[0]
    click(again, (row + 1, col + 1))

    assert names(again) == names(window)
    assert len(again.dock.controller.work.workspace.prompts.points.data) == 2


def test_closed_dock_leaves_clicks_and_keys_to_napari(window: Window) -> None:
    close(window)

    window.click(PATH[0])

    assert window.dock.controller.work is None
    assert not window.dock.isVisible()


def test_clicks_draw_no_prompts_while_the_dock_is_closed(window: Window) -> None:
    click(window, PATH[0])
    window.dock.controller.choose_tool("positive")
    prompts = window.dock.controller.work.workspace.prompts.points
    assert prompts.mode == "add"

    close(window)
    window.click((50, 50))

    assert len(prompts.data) == 1
    assert prompts.mode == "pan_zoom"


def test_only_one_dock_listens_to_a_viewer(window: Window) -> None:
    for _ in range(3):
        close(window)
        window = reopened(window)
    click(window, PATH[0])

    docks = [one for one in kept_dock._docks.values() if one.controller.viewer is window.viewer]
    assert docks == [window.dock]
    assert len(window.dock.controller.work.workspace.prompts.points.data) == 1


@pytest.mark.parametrize("is_closed", [True, False])
def test_dock_ends_with_its_window(window: Window, is_closed: bool) -> None:
    dock: SegmentationDock = window.dock
    click(window, PATH[0])
    if is_closed:
        close(window)

    main = dock.window() if not is_closed else window.viewer.window._qt_window
    window.viewer.close()
    main.deleteLater()
    for _ in range(3):
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QApplication.processEvents()

    assert not isalive(dock)
    assert dock not in kept_dock._docks.values()

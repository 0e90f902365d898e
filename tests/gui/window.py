"""A hand at the mouse and the keyboard of a napari window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QScreen
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_sam3.gui.dock import SegmentationDock

DOCK = "SAM 3: segment and track"
SCREEN_STEP = 20  # pixels, less than the side of any window
PATIENCE = 60_000  # milliseconds; a busy machine is slow, and waiting ends as soon as it can
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


class Window:
    """A viewer with the dock in it, to click and type in. Positions are data pixels, (row, col)."""

    def __init__(self, viewer: Viewer, dock: SegmentationDock, qtbot: Any) -> None:
        self.viewer = viewer
        self.dock = dock
        self.qtbot = qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native

    def until(self, is_so: Callable[[], Any]) -> None:
        """Wait until a condition holds."""
        self.qtbot.waitUntil(lambda: bool(is_so()), timeout=PATIENCE)

    def until_ready(self) -> None:
        """Wait until the model is loaded."""
        self.until(lambda: "ready" in self.dock.model.panel.state.value)

    def settle(self) -> None:
        """Let Qt do what is due, and the dock show it."""
        QApplication.processEvents()
        self.dock.show_state()
        QApplication.processEvents()

    def click(self, position: tuple[float, float], button: Qt.MouseButton = LEFT) -> None:
        self.drag([position], button)

    def drag(self, path: list[tuple[float, float]], button: Qt.MouseButton = LEFT) -> None:
        """Press at the first position, move over the next ones, and release at the last."""
        points = [self._on_canvas(position) for position in path]
        QTest.mouseMove(self.canvas, points[0])
        QTest.mousePress(self.canvas, button, pos=points[0])
        for point in points[1:]:
            QTest.mouseMove(self.canvas, point)
            QApplication.processEvents()
        QTest.mouseRelease(self.canvas, button, pos=points[-1])
        QApplication.processEvents()

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier | None = None) -> None:
        QTest.keyClick(self.canvas, key, modifier or Qt.KeyboardModifier.NoModifier)
        QApplication.processEvents()

    def press(self, button: Any) -> None:
        """Press a button of the dock, as shown by magicgui."""
        self.settle()
        self.press_at(button.native, button.native.rect().center())

    def press_at(self, widget: QWidget, position: QPoint) -> None:
        """Press at a position of a widget."""
        QTest.mouseClick(widget, LEFT, pos=position)
        QApplication.processEvents()

    def _on_canvas(self, position: tuple[float, float]) -> QPoint:
        """Return the point of the canvas where a pixel of the current frame is drawn."""
        image = self.dock.controller.focus.image
        assert image is not None
        index = self.dock.controller.focus.frame_index or ()
        world = image.data_to_world((*index, *position))
        transform = self.viewer.window._qt_viewer.canvas.view.scene.transform
        x, y, _, scale = transform.map([world[-1], world[-2], 0, 1])
        return QPoint(round(x / scale), round(y / scale))


def visible_windows() -> list[QWidget]:
    """Return all windows of the application that are on the screen."""
    return [widget for widget in QApplication.topLevelWidgets() if widget.isVisible()]


def windows_on_screen() -> list[QWidget]:
    """Return all windows of the application that cover a part of the screen."""
    screen = _screen().geometry()
    points = [
        QPoint(x, y)
        for x in range(screen.left(), screen.right(), SCREEN_STEP)
        for y in range(screen.top(), screen.bottom(), SCREEN_STEP)
    ]
    windows = (QApplication.topLevelAt(point) for point in points)
    return list(dict.fromkeys(window for window in windows if window is not None))


def grab_screen(path: Path) -> None:
    """Save what is on the whole screen, windows of others included."""
    picture = _screen().grabWindow(0)
    assert picture.size() == _screen().geometry().size()
    assert picture.save(str(path))


def _screen() -> QScreen:
    screen = QApplication.primaryScreen()
    assert screen is not None
    return screen

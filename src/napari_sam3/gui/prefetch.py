"""When frames are embedded ahead, and where that is to be seen."""

from __future__ import annotations

import numpy as np
from napari.utils.notifications import show_error, show_warning
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QPoint, QRect, Qt
from qtpy.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QMessageBox,
    QScrollBar,
    QSizePolicy,
    QStyle,
    QStyleOptionSlider,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from ..controller import Controller
from .controls import size_text
from .jobs import BackgroundJobs, Clock
from .panels.encode import EncodePanel

HEIGHT = 8  # screen pixels
MARK = 2  # screen pixels of the line over the frame that is looked at
TIP = "Frames in colour are ready: a click there is answered at once. Click to go to a frame."


class FrameStrip(QWidget):
    """A column for each frame, or for some of them together; a click goes there.

    It lies over the sliders of a napari window, as wide as the one of the stack. Where a window
    has none that can be found, it fills the place that it is given.
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._dims: QWidget | None = None
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(TIP)

    @property
    def is_at_slider(self) -> bool:
        """Whether it lies over the sliders of a window."""
        return self._dims is not None

    def settle(self, window: QWidget) -> None:
        """Move over the sliders of a window, if it has any."""
        dims = next((one for one in window.findChildren(QWidget) if _is_a(one, "QtDims")), None)
        parent = None if dims is None else dims.parentWidget()
        layout = None if parent is None else parent.layout()
        if dims is not None and isinstance(layout, QVBoxLayout):
            layout.insertWidget(layout.indexOf(dims), self)
            self._dims = dims

    def leave(self) -> None:
        """Give the place over the sliders back."""
        self._dims = None
        self.hide()
        self.setParent(None)

    def show_state(self) -> None:
        """Show which frames are ready, or nothing where there is a single one."""
        self.setVisible(len(self._controller.prefetch.readiness.flags) > 1)
        self.update()

    def paintEvent(self, _: QPaintEvent | None) -> None:
        """Draw the columns, and where the user is."""
        readiness, span = self._controller.prefetch.readiness, self._span()
        if not len(readiness.flags) or span.width() < 1:
            return
        painter = QPainter(self)
        painter.drawImage(span, self._image(span.width()))
        if readiness.current is not None:
            columns = span.width() / len(readiness.flags)
            left = span.left() + int(readiness.current * columns)
            mark = QRect(left, 0, max(int(columns), MARK), MARK)
            painter.fillRect(mark, QColor(*self._colour("text")))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Go to the frame under the mouse."""
        axes = self._controller.focus.axes
        frame = None if event is None else self._frame_at(event.pos())
        if axes is not None and frame is not None:
            self._controller.focus.go_to(axes.place(frame))

    def event(self, event: QEvent | None) -> bool:
        """Say how things stand with the frame that the mouse points at."""
        frame = self._frame_at(event.pos()) if isinstance(event, QHelpEvent) else None
        if frame is None or not isinstance(event, QHelpEvent):
            return bool(super().event(event))
        QToolTip.showText(event.globalPos(), self._told(frame), self)
        return True

    def _told(self, frame: int) -> str:
        readiness = self._controller.prefetch.readiness
        if frame in readiness.under_way:
            return f"Frame {frame}: the model looks at it now."
        if readiness.flags[frame]:
            return f"Frame {frame} is ready: a click there is answered at once."
        return f"Frame {frame} is not ready: the first click there takes longer."

    def _frame_at(self, point: QPoint) -> int | None:
        count, span = len(self._controller.prefetch.readiness.flags), self._span()
        if not count or span.width() < 1:
            return None
        frame = (point.x() - span.left()) * count // span.width()
        return frame if 0 <= frame < count else None

    def _span(self) -> QRect:
        """Return where the columns lie: over the groove of the slider."""
        slider = self._slider()
        if slider is None:
            return QRect(0, 0, self.width(), self.height())
        groove = _groove(slider)
        left = self.mapFromGlobal(slider.mapToGlobal(groove.topLeft())).x()
        return QRect(left, 0, groove.width(), self.height())

    def _slider(self) -> QScrollBar | None:
        focus = self._controller.focus
        if self._dims is None or focus.image is None or focus.frame_axis is None:
            return None
        axis = self._controller.viewer.dims.ndim - focus.image.ndim + focus.frame_axis
        for row in self._dims.findChildren(QWidget):
            if _is_a(row, "QtDimSliderWidget") and getattr(row, "axis", None) == axis:
                slider: QScrollBar | None = row.findChild(QScrollBar)
                return slider
        return None

    def _image(self, width: int) -> QImage:
        readiness = self._controller.prefetch.readiness
        empty, ready = (np.array(self._colour(name)) for name in ("foreground", "current"))
        shares = column_shares(readiness.flags, width)[:, None]
        colours = empty * (1 - shares) + ready * shares
        is_under_way = np.zeros(len(readiness.flags), bool)
        is_under_way[list(readiness.under_way)] = True
        colours[column_shares(is_under_way, width) > 0] = self._colour("warning")
        pixels = colours.astype(np.uint8).tobytes()
        image = QImage(pixels, width, 1, 3 * width, QImage.Format.Format_RGB888)
        return image.copy()  # of its own, since the pixels go

    def _colour(self, name: str) -> tuple[int, int, int]:
        """Return a colour of napari's theme: red, green and blue in 0..255."""
        red, green, blue = getattr(get_theme(self._controller.viewer.theme), name).as_rgb_tuple()
        return red, green, blue


def column_shares(flags: NDArray[np.bool_], width: int) -> NDArray[np.float64]:
    """Return the share of frames, (F,), that are flagged in each of so many columns, 0..1."""
    edges = np.arange(width + 1) * len(flags) // width
    first, last = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
    counts = np.concatenate([[0], np.cumsum(flags)])
    shares: NDArray[np.float64] = (counts[last] - counts[first]) / (last - first)
    return shares


def _groove(slider: QScrollBar) -> QRect:
    """Return where a handle slides, between the arrows."""
    option, style = QStyleOptionSlider(), slider.style()
    slider.initStyleOption(option)
    if style is None:
        return slider.rect()
    complex_control = QStyle.ComplexControl.CC_ScrollBar
    return style.subControlRect(
        complex_control, option, QStyle.SubControl.SC_ScrollBarGroove, slider
    )


def _is_a(widget: QWidget, name: str) -> bool:
    return type(widget).__name__ == name


REST_MS = 300  # without a move or a prompt; then the neighbours are looked at
POLL_MS = 200  # how often frames are looked up while something changes
BELOW_IMAGE = 1  # where the strip lies in the dock of a window without sliders


class PrefetchSchedule:
    """The row of the dock, the strip at the slider, and the clocks behind both."""

    def __init__(self, controller: Controller, jobs: BackgroundJobs, dock: QWidget) -> None:
        self._controller = controller
        self._jobs = jobs
        self._dock = dock
        self._is_open = False
        self._told = ""  # the trouble with the disk that the user knows about
        self.panel = EncodePanel()
        self.strip = FrameStrip(controller)
        self._rest = Clock.once(REST_MS, controller.prefetch.look_around)
        self._clock = Clock.every(POLL_MS, self._look)
        self.panel.pressed.connect(self._on_pressed)
        controller.prefetch.neighbours.disturbed.connect(self._on_disturbed)
        controller.changed.connect(self._on_changed)
        jobs.began.connect(self._on_changed)

    def open(self) -> None:
        """Show the strip; called when the dock is shown."""
        self._is_open = True
        window = self._dock.window()
        if window is not None and not self.strip.is_at_slider:
            self.strip.settle(window)
        layout = self._dock.layout()
        if not self.strip.is_at_slider and isinstance(layout, QVBoxLayout):
            layout.insertWidget(BELOW_IMAGE, self.strip)
        self._on_changed()

    def hide(self) -> None:
        """Let nothing begin any more while the dock is hidden; what was asked for goes on."""
        self._is_open = False
        self._rest.stop()
        self._clock.stop()
        self._controller.prefetch.neighbours.stop()
        if isalive(self.strip):
            self.strip.hide()

    def close(self) -> None:
        """Leave the window, which may be gone."""
        self._is_open = False
        self._rest.stop()
        self._clock.stop()
        if isalive(self.strip):
            self.strip.leave()

    def _look(self) -> None:
        readiness = self._controller.prefetch.readiness
        readiness.look()
        self.strip.show_state()
        self.panel.show(self._controller)
        self._tell(self._controller.prefetch.warning)
        if readiness.is_settled and not self._jobs.is_busy:
            self._clock.stop()

    def _tell(self, warning: str) -> None:
        """Say once that nothing is kept on disk, and again only after it was kept meanwhile."""
        if warning and warning != self._told:
            show_warning(warning)
        self._told = warning

    def _on_changed(self) -> None:
        self._controller.prefetch.readiness.unsettle()
        if self._is_open and not self._clock.is_running:
            self._clock.start()

    def _on_disturbed(self) -> None:
        if self._is_open:
            self._rest.start()

    def _on_pressed(self) -> None:
        prefetch = self._controller.prefetch
        if prefetch.stack.state == "running":
            prefetch.stack.pause()
            return
        outlook, fitting = prefetch.stack.outlook, prefetch.stack.fitting
        if outlook is None or fitting is None or fitting >= outlook.left:
            prefetch.encode_stack()
            return
        needed = size_text(outlook.nbytes or 0)
        if not fitting:
            show_error(
                f"All {outlook.count} frames take {needed}, and there is no room for more of "
                "them: free some memory or space on the disk."
            )
        elif self._agrees(f"All {outlook.count} frames take {needed}.", fitting):
            prefetch.encode_stack(fitting)

    def _agrees(self, reason: str, fitting: int) -> bool:
        question = f"{reason} There is room for {fitting} more: encode those, from this one on?"
        answer = QMessageBox.question(self._dock, "Encode stack", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

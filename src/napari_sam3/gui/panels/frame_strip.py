"""Which frames of the stack are encoded, over the slider."""

from __future__ import annotations

import numpy as np
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPoint, QRect, Qt
from qtpy.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QScrollBar,
    QSizePolicy,
    QStyle,
    QStyleOptionSlider,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from ...controller import Controller

HEIGHT = 8  # screen pixels
MARK = 2  # screen pixels of the line over the current frame
TIP = "Frames in colour are encoded: clicks there are fast. Click to go to a frame."


class FrameStrip(QWidget):
    """A column for each frame, or for some of them together; a click goes there.

    It lies over the sliders of a napari window, as wide as the one of the stack. Where a window
    has none that can be found, it is as wide as the dock.
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

    def move_to_slider(self, window: QWidget) -> None:
        """Move over the sliders of a window, if it has any."""
        children = window.findChildren(QWidget)
        dims = next((child for child in children if _is_a(child, "QtDims")), None)
        parent = None if dims is None else dims.parentWidget()
        layout = None if parent is None else parent.layout()
        if dims is not None and isinstance(layout, QVBoxLayout):
            layout.insertWidget(layout.indexOf(dims), self)
            self._dims = dims

    def remove(self) -> None:
        """Leave the window."""
        self._dims = None
        self.hide()
        self.setParent(None)

    def show_state(self) -> None:
        """Show which frames are encoded, or nothing where there is a single frame."""
        self.setVisible(len(self._controller.prefetch.readiness.flags) > 1)
        self.update()

    def paintEvent(self, _: QPaintEvent | None) -> None:
        """Draw the columns, and a mark at the current frame."""
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
            self._controller.focus.go_to(axes.frame_index(frame))

    def event(self, event: QEvent | None) -> bool:
        """Say whether the frame under the mouse is encoded."""
        frame = self._frame_at(event.pos()) if isinstance(event, QHelpEvent) else None
        if frame is None or not isinstance(event, QHelpEvent):
            return bool(super().event(event))
        QToolTip.showText(event.globalPos(), self._frame_text(frame), self)
        return True

    def _frame_text(self, frame: int) -> str:
        readiness = self._controller.prefetch.readiness
        if frame in readiness.in_progress:
            return f"Frame {frame} is being encoded."
        if readiness.flags[frame]:
            return f"Frame {frame} is encoded: clicks there are fast."
        return f"Frame {frame} is not encoded: the first click there takes longer."

    def _frame_at(self, point: QPoint) -> int | None:
        count, span = len(self._controller.prefetch.readiness.flags), self._span()
        if not count or span.width() < 1:
            return None
        frame = (point.x() - span.left()) * count // span.width()
        return frame if 0 <= frame < count else None

    def _span(self) -> QRect:
        """Return the rectangle of all columns, over the groove of the slider."""
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
        is_in_progress = np.zeros(len(readiness.flags), bool)
        is_in_progress[list(readiness.in_progress)] = True
        colours[column_shares(is_in_progress, width) > 0] = self._colour("warning")
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
    """Return the rectangle in which a handle slides, between the arrows."""
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

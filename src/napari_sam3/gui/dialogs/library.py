"""The library of exemplars: a window that shows, uses and saves exemplars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from magicgui.widgets import Label, LineEdit, Select
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QDialog, QVBoxLayout, QWidget

from ...values import Exemplar
from ..controls import allow, button, column, row

NAMES_TIP = "Saved exemplars, from whatever image."
THUMBNAILS_TIP = (
    "The exemplars of this name, as they were drawn: find those in green, not in orange."
)
USE_TIP = "Find on this image what resembles these exemplars."
REMOVE_TIP = "Delete these exemplars from the library."
NAME_TIP = "A name for the exemplars of the current concept."
SAVE_TIP = "Save the exemplars of the current concept under this name, for other images."
NOTHING_SELECTED = "Select a name in the list first."
NO_NAME = "Type a name first."
THUMBNAIL_SIDE = 72  # screen pixels
THUMBNAILS = 4  # at most
GREEN, ORANGE = "#33e64d", "#ff801a"


class LibraryDialog(QDialog):
    """A list of names, and thumbnails of the selected one."""

    name_selected = Signal(str)
    use_wanted = Signal(str)
    removal_wanted = Signal(str)
    saving_wanted = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Library of exemplars")
        self.names = Select(choices=(), tooltip=NAMES_TIP, name="names")
        self.thumbnails = Label(value="", tooltip=THUMBNAILS_TIP, name="thumbnails")
        self.thumbnails.native.setMinimumSize(THUMBNAILS * THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        self.use = button("Use", USE_TIP)
        self.remove = button("Remove", REMOVE_TIP)
        self.name = LineEdit(tooltip=NAME_TIP, name="name")
        self.name.native.setPlaceholderText("mitotic cells")
        self.save = button("Save current ones", SAVE_TIP)
        self._why_not_saved = ""
        content = column(
            self.names, self.thumbnails, row(self.use, self.remove), row(self.name, self.save)
        )
        QVBoxLayout(self).addWidget(content.native)
        self.names.changed.connect(self._on_name_selected)
        self.name.changed.connect(self._allow)
        self.use.clicked.connect(self._on_use_clicked)
        self.remove.clicked.connect(self._on_remove_clicked)
        self.save.clicked.connect(self._on_save_clicked)

    @property
    def selected(self) -> str:
        """The name that is selected in the list; empty if none is."""
        value = self.names.value
        return str(value[0]) if value else ""

    def show_names(self, names: Sequence[str], why_not_saved: str) -> None:
        """Show what is in the library, and whether there is something to save."""
        self._why_not_saved = why_not_saved
        with self.names.changed.blocked():
            self.names.choices = tuple(names)
        self._allow()

    def show_exemplars(self, exemplars: Sequence[Exemplar]) -> None:
        """Show thumbnails of the first few exemplars."""
        strip = QPixmap(THUMBNAILS * THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        strip.fill(Qt.GlobalColor.transparent)
        painter = QPainter(strip)
        for number, exemplar in enumerate(exemplars[:THUMBNAILS]):
            painter.drawPixmap(number * THUMBNAIL_SIDE, 0, _thumbnail(exemplar))
        painter.end()
        self.thumbnails.native.setPixmap(strip)

    def _allow(self) -> None:
        not_selected = "" if self.selected else NOTHING_SELECTED
        allow(self.use, USE_TIP, not_selected)
        allow(self.remove, REMOVE_TIP, not_selected)
        unnamed = "" if self.name.value.strip() else NO_NAME
        allow(self.save, SAVE_TIP, self._why_not_saved or unnamed)

    def _on_name_selected(self) -> None:
        self._allow()
        if self.selected:
            self.name_selected.emit(self.selected)

    def _on_use_clicked(self) -> None:
        self.use_wanted.emit(self.selected)

    def _on_remove_clicked(self) -> None:
        self.removal_wanted.emit(self.selected)

    def _on_save_clicked(self) -> None:
        self.saving_wanted.emit(self.name.value.strip())


def _thumbnail(exemplar: Exemplar) -> QPixmap:
    """Draw an exemplar with its box, as large as it fits."""
    pixels: NDArray[np.uint8] = np.ascontiguousarray(exemplar.thumbnail)
    rows, cols = pixels.shape[:2]
    image = QImage(pixels.tobytes(), cols, rows, 3 * cols, QImage.Format.Format_RGB888)
    scale = (THUMBNAIL_SIDE - 4) / max(rows, cols)
    drawn = QPixmap.fromImage(image).scaled(round(cols * scale), round(rows * scale))
    painter = QPainter(drawn)
    painter.setPen(QColor(GREEN if exemplar.is_positive else ORANGE))
    top, left, bottom, right = (round(side * scale) for side in exemplar.box)
    painter.drawRect(left, top, right - left, bottom - top)
    painter.end()
    return drawn

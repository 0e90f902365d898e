"""The library of exemplars: a window that shows what is kept, uses it, and keeps more."""

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

NAMES_TIP = "Exemplars that were kept, from whatever image."
PICTURES_TIP = "The exemplars of this name, as they were drawn: green is meant, orange is not."
USE_TIP = "Find on this image what is like these exemplars."
REMOVE_TIP = "Delete these exemplars from the library."
NAME_TIP = "A name for the exemplars of the current concept."
KEEP_TIP = "Keep the exemplars of the current concept by this name, for other images."
NOTHING_CHOSEN = "Choose a name in the list first."
NO_NAME = "Type a name first."
SIDE = 72  # screen pixels of a picture
MOST = 4  # pictures at once
GREEN, ORANGE = "#33e64d", "#ff801a"


class LibraryDialog(QDialog):
    """A list of names, pictures of one of them, and what can be done."""

    name_selected = Signal(str)
    use_wanted = Signal(str)
    removal_wanted = Signal(str)
    keeping_wanted = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Library of exemplars")
        self.names = Select(choices=(), tooltip=NAMES_TIP, name="names")
        self.pictures = Label(value="", tooltip=PICTURES_TIP, name="pictures")
        self.pictures.native.setMinimumSize(MOST * SIDE, SIDE)
        self.use = button("Use", USE_TIP)
        self.remove = button("Remove", REMOVE_TIP)
        self.name = LineEdit(tooltip=NAME_TIP, name="name")
        self.name.native.setPlaceholderText("mitotic cells")
        self.keep = button("Keep current ones", KEEP_TIP)
        self._why_not_kept = ""
        content = column(
            self.names, self.pictures, row(self.use, self.remove), row(self.name, self.keep)
        )
        QVBoxLayout(self).addWidget(content.native)
        self.names.changed.connect(self._on_name_selected)
        self.name.changed.connect(self._allow)
        self.use.clicked.connect(self._on_use_clicked)
        self.remove.clicked.connect(self._on_remove_clicked)
        self.keep.clicked.connect(self._on_keep_clicked)

    @property
    def chosen(self) -> str:
        """The name that is chosen in the list; empty if none is."""
        value = self.names.value
        return str(value[0]) if value else ""

    def show_names(self, names: Sequence[str], why_not_kept: str) -> None:
        """Show what is in the library, and whether there is something to keep."""
        self._why_not_kept = why_not_kept
        with self.names.changed.blocked():
            self.names.choices = tuple(names)
        self._allow()

    def show_exemplars(self, exemplars: Sequence[Exemplar]) -> None:
        """Show pictures of the first few exemplars."""
        strip = QPixmap(MOST * SIDE, SIDE)
        strip.fill(Qt.GlobalColor.transparent)
        painter = QPainter(strip)
        for number, one in enumerate(exemplars[:MOST]):
            painter.drawPixmap(number * SIDE, 0, _picture(one))
        painter.end()
        self.pictures.native.setPixmap(strip)

    def _allow(self) -> None:
        nothing = "" if self.chosen else NOTHING_CHOSEN
        allow(self.use, USE_TIP, nothing)
        allow(self.remove, REMOVE_TIP, nothing)
        unnamed = "" if self.name.value.strip() else NO_NAME
        allow(self.keep, KEEP_TIP, self._why_not_kept or unnamed)

    def _on_name_selected(self) -> None:
        self._allow()
        if self.chosen:
            self.name_selected.emit(self.chosen)

    def _on_use_clicked(self) -> None:
        self.use_wanted.emit(self.chosen)

    def _on_remove_clicked(self) -> None:
        self.removal_wanted.emit(self.chosen)

    def _on_keep_clicked(self) -> None:
        self.keeping_wanted.emit(self.name.value.strip())


def _picture(exemplar: Exemplar) -> QPixmap:
    """Draw an exemplar with its box, as large as it fits."""
    pixels: NDArray[np.uint8] = np.ascontiguousarray(exemplar.picture)
    rows, cols = pixels.shape[:2]
    image = QImage(pixels.tobytes(), cols, rows, 3 * cols, QImage.Format.Format_RGB888)
    scale = (SIDE - 4) / max(rows, cols)
    drawn = QPixmap.fromImage(image).scaled(round(cols * scale), round(rows * scale))
    painter = QPainter(drawn)
    painter.setPen(QColor(GREEN if exemplar.is_positive else ORANGE))
    top, left, bottom, right = (round(side * scale) for side in exemplar.box)
    painter.drawRect(left, top, right - left, bottom - top)
    painter.end()
    return drawn

"""The list of objects: name, colour, frames done and score."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...controller import Controller, why_disabled
from ...values import SegmentedObject

LIST_TIP = "Click an object to bring its prompts back; double click to rename it."
REMOVE_TIP = "Remove the current object, its prompts and its masks."
COLUMNS = ("Object", "Frames", "Score")
MINIMUM_HEIGHT = 68  # screen pixels: the heading and two rows
ID = Qt.ItemDataRole.UserRole


class ObjectsPanel:
    """A table of objects, the current one selected."""

    object_selected = Signal(int)
    object_renamed = Signal(int, str)
    removal_wanted = Signal(int)

    def __init__(self) -> None:
        self.table = QTreeWidget()
        self.table.setHeaderLabels(COLUMNS)
        self.table.setRootIsDecorated(False)
        self.table.setToolTip(LIST_TIP)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setMinimumHeight(MINIMUM_HEIGHT)
        header = self.table.header()
        if header is not None:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setStretchLastSection(False)
        self.remove = QPushButton("Remove object")
        self.native = QWidget()
        layout = QVBoxLayout(self.native)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addWidget(self.remove)
        self.table.itemClicked.connect(self._on_item_clicked)
        self.table.itemChanged.connect(self._on_item_changed)
        self.remove.clicked.connect(self._on_remove_clicked)

    def show(self, controller: Controller) -> None:
        """Show the objects of the current image."""
        objs = (
            [] if controller.annotation is None else list(controller.annotation.workspace.objects)
        )
        self.table.blockSignals(True)
        while self.table.topLevelItemCount() > len(objs):
            self.table.takeTopLevelItem(self.table.topLevelItemCount() - 1)
        for index, obj in enumerate(objs):
            self._show_object(index, obj, controller)
        self.table.blockSignals(False)
        reason = why_disabled(controller, "remove")
        self.remove.setEnabled(not reason)
        self.remove.setToolTip(f"{REMOVE_TIP}\n{reason}" if reason else REMOVE_TIP)

    def _show_object(self, index: int, obj: SegmentedObject, controller: Controller) -> None:
        item = self.table.topLevelItem(index)
        if item is None:
            item = QTreeWidgetItem()
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            self.table.addTopLevelItem(item)
        if item.data(0, ID) != obj.id:
            item.setData(0, ID, obj.id)
            item.setIcon(0, _swatch(obj))
        item.setText(0, obj.name)
        item.setText(1, controller.progress_of(obj))
        item.setText(2, "" if obj.score is None else f"{obj.score:.2f}")
        if obj is controller.current:
            self.table.setCurrentItem(item)

    def _on_item_clicked(self, item: QTreeWidgetItem) -> None:
        self.object_selected.emit(item.data(0, ID))

    def _on_item_changed(self, item: QTreeWidgetItem, column: int) -> None:
        if column == 0:
            self.object_renamed.emit(item.data(0, ID), item.text(0))

    def _on_remove_clicked(self) -> None:
        item = self.table.currentItem()
        if item is not None:
            self.removal_wanted.emit(item.data(0, ID))


def _swatch(obj: SegmentedObject) -> QIcon:
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor.fromRgbF(*obj.color))
    return QIcon(pixmap)

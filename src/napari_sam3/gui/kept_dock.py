"""The dock as napari opens and closes it; what the user did in it outlives that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from .dock import SegmentationDock

if TYPE_CHECKING:
    import napari


class KeptDock(QWidget):
    """Shows the dock of a viewer.

    napari makes a new widget whenever the dock is opened, and drops it when the dock is closed.
    The dock itself belongs to the viewer: it is taken out before, and shown in the next one, with
    all objects, prompts and choices. Meanwhile it is as if it were hidden, and clicks draw nothing.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:  # napari compares this text
        super().__init__()
        self.dock = _dock_of(viewer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.dock)
        self.dock.show()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._has_window = False

    def showEvent(self, event: QShowEvent | None) -> None:
        """Let the dock end with the window, in which it may not be by then."""
        window = self.window()
        if not self._has_window and window is not None:
            window.destroyed.connect(self.dock.deleteLater)
            self._has_window = True
        super().showEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Take the dock out when napari closes this, which it does by leaving it alone."""
        is_moved = event is not None and event.type() == QEvent.Type.ParentChange
        if is_moved and self.parent() is None and isalive(self.dock):
            self.dock.controller.works.lay_down()
            self.dock.hide()
            self.dock.setParent(None)
        return super().event(event)


_docks: dict[int, SegmentationDock] = {}
"""The dock of each viewer that has one, by the ``id`` of the viewer."""


def _dock_of(viewer: napari.viewer.Viewer) -> SegmentationDock:
    viewer = getattr(viewer, "__wrapped__", viewer)  # plugins are given a proxy, each time another
    known = _docks.get(id(viewer))
    if known is not None and isalive(known):
        return known
    made = _docks[id(viewer)] = SegmentationDock(viewer)
    made.destroyed.connect(partial(_docks.pop, id(viewer), None))
    return made

"""Which layers masks are written to."""

from __future__ import annotations

from magicgui.widgets import CheckBox, Container
from magicgui.widgets.bases import Widget
from psygnal import Signal

from ...controller import Controller, why_disabled
from ..controls import allow, choice, heading, row

LAYOUTS = ("layer per object", "one layer")
LAYOUT_TIP = "A layer per object lets objects overlap; in one layer every pixel has one object."
OVERWRITE_TIP = "Let an object take pixels that belong to another object; off, they are kept."


class OutputPanel:
    """The layout of the results."""

    layout_selected = Signal(str)
    overwriting_selected = Signal(bool)

    def __init__(self) -> None:
        self.layout = choice(LAYOUTS, LAYOUT_TIP, "layout")
        self.overwrite = CheckBox(text="overwrite", tooltip=OVERWRITE_TIP)
        self.widget: Container[Widget] = row(heading("Output"), self.layout, self.overwrite)
        self.layout.changed.connect(self._on_layout_changed)
        self.overwrite.changed.connect(self._on_overwrite_changed)

    def show(self, controller: Controller) -> None:
        """Show the layout in use."""
        with self.layout.changed.blocked(), self.overwrite.changed.blocked():
            self.layout.value = controller.annotations.layout
            self.overwrite.value = not controller.annotations.keeps_committed
        allow(self.layout, LAYOUT_TIP, why_disabled(controller, "change_layout"))
        is_shared = controller.annotations.layout == "one layer"
        reason = "" if is_shared else "Every object has a layer of its own."
        allow(self.overwrite, OVERWRITE_TIP, reason)

    def _on_layout_changed(self, layout: str) -> None:
        self.layout_selected.emit(layout)

    def _on_overwrite_changed(self, value: bool) -> None:
        self.overwriting_selected.emit(value)

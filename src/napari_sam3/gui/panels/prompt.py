"""The tools to prompt with, and which reading of the prompts is shown."""

from __future__ import annotations

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import Widget
from psygnal import Signal
from qtpy.QtWidgets import QButtonGroup

from ...controller import Controller, ShownHypothesis, Tool, hint, why_disabled
from ..controls import allow, button, column, heading, row

TOOLS: dict[Tool, tuple[str, str]] = {
    "positive": ("+  P", "Click on the object; a right click marks what is not part of it."),
    "negative": ("-  N", "Click on what is not part of the object."),
    "box": ("box  B", "Drag a box around the object."),
    "outline": ("outline  L", "Draw a rough outline around the object by hand."),
}
HYPOTHESIS_TIP = (
    "Show another reading of the same prompts: the whole object, a part, or a smaller part."
)
NEXT_TIP = "Start the next object; the one before stays as it is."
UNDO_TIP = "Take the last prompt back, or the objects made of candidates. (Ctrl+Z)"
REDO_TIP = "Prompt again what was taken back. (Ctrl+Shift+Z)"


class PromptPanel:
    """Buttons with their keys on them."""

    tool_selected = Signal(str)
    next_hypothesis_wanted = Signal()
    next_object_wanted = Signal()
    undo_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self) -> None:
        self.tools = {tool: button(*face) for tool, face in TOOLS.items()}
        self.hypothesis = Label(
            value="", tooltip="Which reading of the prompts is shown, and how sure."
        )
        self.next_hypothesis = button("Try another  A", HYPOTHESIS_TIP)
        self.next_object = button("Next object  M", NEXT_TIP)
        self.undo = button("Undo", UNDO_TIP)
        self.redo = button("Redo", REDO_TIP)
        self.widget: Container[Widget] = column(
            row(heading("Prompt"), *self.tools.values()),
            row(heading("Reading"), self.hypothesis, self.next_hypothesis),
            row(heading(), self.next_object, self.undo, self.redo),
        )
        self._group = QButtonGroup(self.widget.native)
        self._connect()

    def show(self, controller: Controller) -> None:
        """Show the tool in hand, the reading, and what can be done."""
        self._group.setExclusive(controller.tool in self.tools)  # else one is always down
        for tool, widget in self.tools.items():
            widget.native.setChecked(tool == controller.tool)
        self.hypothesis.value = hint(controller) or _described(controller.hypothesis)
        for tool, widget in self.tools.items():
            allow(widget, TOOLS[tool][1], why_disabled(controller, "prompt"))
        allow(self.next_hypothesis, HYPOTHESIS_TIP, why_disabled(controller, "next_reading"))
        allow(self.next_object, NEXT_TIP, why_disabled(controller, "next_object"))
        allow(self.undo, UNDO_TIP, why_disabled(controller, "undo"))
        allow(self.redo, REDO_TIP, why_disabled(controller, "redo"))

    def _connect(self) -> None:
        for widget in self.tools.values():
            widget.native.setCheckable(True)
            self._group.addButton(widget.native)
        self._group.buttonClicked.connect(self._on_tool_clicked)
        self.next_hypothesis.clicked.connect(self.next_hypothesis_wanted.emit)
        self.next_object.clicked.connect(self.next_object_wanted.emit)
        self.undo.clicked.connect(self.undo_wanted.emit)
        self.redo.clicked.connect(self.redo_wanted.emit)

    def _on_tool_clicked(self, clicked: object) -> None:
        for tool, widget in self.tools.items():
            if widget.native is clicked:
                self.tool_selected.emit(tool)


def _described(shown: ShownHypothesis | None) -> str:
    if shown is None:
        return ""
    which = f"{shown.hypothesis.name}, {shown.position + 1} of {shown.count}"
    return f"{which}, score {shown.hypothesis.score:.2f}"

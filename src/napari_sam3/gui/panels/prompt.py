"""The tools to prompt with, and which mask of the prompts is shown."""

from __future__ import annotations

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import Widget

from ...controller import Controller, ShownHypothesis, Tool, hint, why_disabled
from ..controls import ToolButtons, allow, button, column, heading, row

TOOLS: dict[Tool, tuple[str, str]] = {
    "positive": ("+  P", "Click on the object; a right click marks what is not part of it."),
    "negative": ("-  N", "Click on what is not part of the object."),
    "box": ("box  B", "Drag a box around the object."),
    "outline": ("outline  L", "Draw a rough outline around the object by hand."),
}
HYPOTHESIS_TIP = "Which of the masks for these prompts is shown, and how sure the model is of it."
NEXT_HYPOTHESIS_TIP = (
    "Show another mask for the same prompts: the whole object, a part, or a smaller part."
)
NEXT_OBJECT_TIP = "Start the next object; the current one stays as it is."
UNDO_TIP = "Take the last prompt back, or the objects made of candidates. (Ctrl+Z)"
REDO_TIP = "Prompt again what was taken back. (Ctrl+Shift+Z)"


class PromptPanel:
    """Buttons with their keys on them."""

    def __init__(self) -> None:
        self._tools = ToolButtons(TOOLS)
        self.tools = self._tools.buttons
        self.hypothesis = Label(value="", tooltip=HYPOTHESIS_TIP)
        self.next_hypothesis = button("Next mask  A", NEXT_HYPOTHESIS_TIP)
        self.next_object = button("Next object  M", NEXT_OBJECT_TIP)
        self.undo = button("Undo", UNDO_TIP)
        self.redo = button("Redo", REDO_TIP)
        self.widget: Container[Widget] = column(
            row(heading("Prompt"), *self.tools.values()),
            row(heading("Mask"), self.hypothesis, self.next_hypothesis),
            row(heading(), self.next_object, self.undo, self.redo),
        )
        self.tool_selected = self._tools.selected
        self.next_hypothesis_wanted = self.next_hypothesis.clicked
        self.next_object_wanted = self.next_object.clicked
        self.undo_wanted = self.undo.clicked
        self.redo_wanted = self.redo.clicked

    def show(self, controller: Controller) -> None:
        """Show the current tool, the mask that is shown, and what can be done."""
        self._tools.show(controller.tool)
        self.hypothesis.value = hint(controller) or _hypothesis_text(controller.hypothesis)
        for tool, widget in self.tools.items():
            allow(widget, TOOLS[tool][1], why_disabled(controller, "prompt"))
        allow(
            self.next_hypothesis, NEXT_HYPOTHESIS_TIP, why_disabled(controller, "next_hypothesis")
        )
        allow(self.next_object, NEXT_OBJECT_TIP, why_disabled(controller, "next_object"))
        allow(self.undo, UNDO_TIP, why_disabled(controller, "undo"))
        allow(self.redo, REDO_TIP, why_disabled(controller, "redo"))


def _hypothesis_text(shown: ShownHypothesis | None) -> str:
    if shown is None:
        return ""
    which = f"{shown.position + 1} of {shown.count}: {shown.hypothesis.name}"
    return f"{which}, score {shown.hypothesis.score:.2f}"

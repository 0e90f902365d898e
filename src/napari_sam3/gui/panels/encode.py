"""Encoding a whole stack before it is clicked on."""

from __future__ import annotations

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import Widget
from qtpy.QtWidgets import QSizePolicy

from ...controller import Controller, Outlook, State, size_text
from ..controls import allow, button, heading, row, time_text

BUTTON_TEXTS: dict[State, str] = {
    "idle": "Encode stack",
    "running": "Pause",
    "paused": "Resume",
}
BUTTON_WIDTH = 104  # screen pixels; the longest text fits
ENCODE_TIP = "Run the slow part of the model on all frames now, so that clicks on any are fast."
PAUSE_TIP = "Pause after the frame that is being encoded; what is done is kept."
OUTLOOK_TIP = "Frames that are encoded, the time that is left, and the memory that all frames take."


class EncodePanel:
    """A button, and how far encoding has come, in a row."""

    def __init__(self) -> None:
        self.run = button(BUTTON_TEXTS["idle"], ENCODE_TIP)
        self.run.native.setFixedWidth(BUTTON_WIDTH)
        self.outlook = Label(value="", tooltip=OUTLOOK_TIP, name="outlook")
        self.outlook.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.widget: Container[Widget] = row(heading("Encoding"), self.run, self.outlook)
        self.run_wanted = self.run.clicked

    def show(self, controller: Controller) -> None:
        """Show how many frames of the current stack are encoded."""
        stack = controller.prefetch.stack
        self.run.text = BUTTON_TEXTS[stack.state]
        if stack.state == "running":
            allow(self.run, PAUSE_TIP, "")
        else:
            allow(self.run, ENCODE_TIP, stack.why_disabled)
        outlook = stack.outlook
        self.outlook.value = "" if outlook is None else _outlook_text(outlook)


def _outlook_text(outlook: Outlook) -> str:
    if outlook.count < 2:
        return ""
    parts = [f"{outlook.ready} of {outlook.count}"]
    if outlook.left and outlook.seconds is not None:
        parts.append(f"{time_text(outlook.seconds)} left")
    if outlook.nbytes is not None:
        parts.append(size_text(outlook.nbytes))
    return ", ".join(parts)

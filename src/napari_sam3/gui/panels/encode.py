"""Letting the model look at a whole stack beforehand."""

from __future__ import annotations

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import Widget
from psygnal import Signal
from qtpy.QtWidgets import QSizePolicy

from ...controller import Controller, Outlook, State
from ..controls import allow, button, heading, row, size_text, time_text

WORDS: dict[State, str] = {"idle": "Encode stack", "running": "Pause", "paused": "Resume"}
BUTTON_WIDTH = 104  # screen pixels; the longest word fits
TIP = "Let the model look at all frames beforehand, so that clicks are answered at once everywhere."
PAUSE_TIP = "End after the frame at hand; what is done is kept."
OUTLOOK_TIP = "Frames that are ready, the time that remains, and the memory that all of them take."


class EncodePanel:
    """A button, and what is to be expected, in a row."""

    pressed = Signal()

    def __init__(self) -> None:
        self.run = button(WORDS["idle"], TIP)
        self.run.native.setFixedWidth(BUTTON_WIDTH)
        self.outlook = Label(value="", tooltip=OUTLOOK_TIP, name="outlook")
        self.outlook.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.widget: Container[Widget] = row(heading("Ahead"), self.run, self.outlook)
        self.run.clicked.connect(self.pressed.emit)

    def show(self, controller: Controller) -> None:
        """Show how things stand with the stack that is looked at."""
        stack = controller.prefetch.stack
        is_running = stack.state == "running"
        self.run.text = WORDS[stack.state]
        allow(self.run, PAUSE_TIP if is_running else TIP, "" if is_running else stack.why_disabled)
        outlook = stack.outlook
        self.outlook.value = "" if outlook is None else _told(outlook)


def _told(outlook: Outlook) -> str:
    if outlook.count < 2:
        return ""
    parts = [f"{outlook.ready} of {outlook.count}"]
    if outlook.left and outlook.seconds is not None:
        parts.append(f"{time_text(outlook.seconds)} left")
    if outlook.nbytes is not None:
        parts.append(size_text(outlook.nbytes))
    return ", ".join(parts)

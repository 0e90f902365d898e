"""Encoding a whole stack before it is clicked on."""

from __future__ import annotations

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import Widget
from qtpy.QtWidgets import QSizePolicy

from ...controller import Controller, EncodingForecast, State, size_text
from ..controls import allow, button, heading, row, time_text

BUTTON_TEXTS: dict[State, str] = {
    "idle": "Encode stack",
    "running": "Pause",
    "paused": "Resume",
}
BUTTON_WIDTH = 104  # screen pixels; the longest text fits
ENCODE_TIP = "Run the slow part of the model on all frames now, so that clicks on any are fast."
PAUSE_TIP = "Pause after the frame that is being encoded; what is done is kept."
FORECAST_TIP = "Frames that are encoded, the time left, and the memory that all frames take."


class EncodePanel:
    """A button, and how far encoding has come, in a row."""

    def __init__(self) -> None:
        self.run = button(BUTTON_TEXTS["idle"], ENCODE_TIP)
        self.run.native.setFixedWidth(BUTTON_WIDTH)
        self.forecast = Label(value="", tooltip=FORECAST_TIP, name="outlook")
        self.forecast.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.widget: Container[Widget] = row(heading("Encoding"), self.run, self.forecast)
        self.run_wanted = self.run.clicked

    def show(self, controller: Controller) -> None:
        """Show how many frames of the current stack are encoded."""
        stack = controller.prefetch.stack
        self.run.text = BUTTON_TEXTS[stack.state]
        if stack.state == "running":
            allow(self.run, PAUSE_TIP, "")
        else:
            allow(self.run, ENCODE_TIP, stack.why_disabled)
        forecast = stack.forecast
        self.forecast.value = "" if forecast is None else _forecast_text(forecast)


def _forecast_text(forecast: EncodingForecast) -> str:
    if forecast.count < 2:
        return ""
    parts = [f"{forecast.ready} of {forecast.count}"]
    if forecast.left and forecast.seconds is not None:
        parts.append(f"{time_text(forecast.seconds)} left")
    if forecast.nbytes is not None:
        parts.append(size_text(forecast.nbytes))
    return ", ".join(parts)

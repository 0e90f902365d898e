"""Which model answers, and where it runs."""

from __future__ import annotations

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import Widget

from .rows import choice, heading, row

MODEL_TIP = "The network that outlines objects; 'embedded' comes with the plugin and always works."


class ModelPanel:
    """The choice of a model, and its state beside it."""

    def __init__(self, models: list[str]) -> None:
        self.model = choice(models, MODEL_TIP, "model")
        self.state = Label(value="loading …", tooltip="Where the model runs.", name="state")
        self.widget: Container[Widget] = row(heading("Model"), self.model, self.state)

    def show_state(self, state: str) -> None:
        """Say what the model is doing."""
        self.state.value = state

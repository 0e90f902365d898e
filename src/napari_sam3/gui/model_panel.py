"""Which model answers, and where it runs."""

from __future__ import annotations

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import Widget
from psygnal import Signal

from .rows import choice, heading, row

MODEL_TIP = "The network that outlines objects; 'embedded' comes with the plugin and always works."
DEVICE_TIP = "Where the model runs; 'auto' takes the fastest that there is."
STATE_TIP = "Whether the model is ready to answer."
DEVICE_WIDTH = 72  # screen pixels


class ModelPanel:
    """The choice of a model and of a device, and what they are doing."""

    device_chosen = Signal(str)

    def __init__(self, models: list[str]) -> None:
        self.model = choice(models, MODEL_TIP, "model")
        self.device = choice(["auto"], DEVICE_TIP, "device")
        self.device.native.setMaximumWidth(DEVICE_WIDTH)
        self.state = Label(value="loading …", tooltip=STATE_TIP, name="state")
        self.widget: Container[Widget] = row(heading("Model"), self.model, self.device, self.state)
        self.device.changed.connect(self._on_device_changed)

    def show_devices(self, devices: list[str]) -> None:
        """Show what there is to choose; the choice stays."""
        with self.device.changed.blocked():
            chosen = self.device.value
            self.device.choices = ["auto", *devices]
            self.device.value = chosen

    def show_state(self, state: str) -> None:
        """Say what the model is doing."""
        self.state.value = state

    def _on_device_changed(self, device: str) -> None:
        self.device_chosen.emit(device)

"""Which model is used, and where it runs."""

from __future__ import annotations

from magicgui.widgets import Container
from magicgui.widgets.bases import Widget
from psygnal import Signal

from ...controller import Models
from ...engine import CATALOG, CatalogModel
from ..controls import button, choice, column, heading, row, sentence

MODEL_TIP = "The network that outlines objects; the embedded one is part of the plugin."
DEVICE_TIP = "Where the model runs; 'auto' takes the fastest that there is."
MORE_TIP = "Download a model, open one from a folder or a file, and read what each can do."
STATE_TIP = "Whether the model is ready."
HINT_TIP = "How long the model takes, where that is long."
DEVICE_WIDTH = 72  # screen pixels
LIST_WIDTH = 260  # screen pixels of the open list, so that names can be read in a narrow dock


class ModelPanel:
    """The choice of a model and of a device, and what they are doing."""

    model_selected = Signal(str)  # an id or a path
    device_selected = Signal(str)

    def __init__(self) -> None:
        self.model = choice([("Embedded model", "embedded")], MODEL_TIP, "model")
        self.model.native.view().setMinimumWidth(LIST_WIDTH)
        self.device = choice(["auto"], DEVICE_TIP, "device")
        self.device.native.setMaximumWidth(DEVICE_WIDTH)
        self.more = button("Models …", MORE_TIP)
        self.more.native.setMaximumWidth(DEVICE_WIDTH)
        self.state = sentence(STATE_TIP, "state")
        self.hint = sentence(HINT_TIP, "hint")
        self._hint_row = row(heading(), self.hint)
        self.widget: Container[Widget] = column(
            row(heading("Model"), self.model, self.device),
            row(heading(), self.state, self.more),
            self._hint_row,
        )
        self.more_wanted = self.more.clicked
        self.model.changed.connect(self._on_model_changed)
        self.device.changed.connect(self._on_device_changed)

    def show(self, models: Models) -> None:
        """Show the models to choose from, the one at work, and what it is doing."""
        known = [(_entry(model, models.on_this_computer), model.id) for model in CATALOG]
        opened = [(title, path) for path, title in models.opened.items()]
        with self.model.changed.blocked():
            self.model.choices = []  # or else entries whose text has changed would go to the end
            self.model.choices = [*known, *opened]
            self.model.value = models.model
        devices = dict.fromkeys(["auto", models.device, *models.devices])
        with self.device.changed.blocked():
            self.device.choices = list(devices)
            self.device.value = models.device
        self.show_state(models.state)
        self.hint.value = models.hint
        self._hint_row.visible = bool(models.hint)

    def show_state(self, state: str) -> None:
        """Say what the model is doing."""
        self.state.value = state

    def _on_model_changed(self, model: str) -> None:
        self.model_selected.emit(model)

    def _on_device_changed(self, device: str) -> None:
        self.device_selected.emit(device)


def _entry(model: CatalogModel, on_this_computer: frozenset[str] | None) -> str:
    is_missing = on_this_computer is not None and model.id not in on_this_computer
    return f"{model.title}, not on this computer" if is_missing else model.title

"""Which model answers, and where it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from magicgui.widgets import Container
from magicgui.widgets.bases import Widget
from psygnal import Signal

from ...engine import CATALOG, CatalogModel
from ..controls import button, choice, column, heading, row, sentence

MODEL_TIP = "The network that outlines objects; the embedded one comes along and always works."
DEVICE_TIP = "Where the model runs; 'auto' takes the fastest that there is."
MORE_TIP = "Download a model, open one from a folder or a file, and read what each can do."
STATE_TIP = "Whether the model is ready to answer."
HINT_TIP = "How long you wait where it is long."
DEVICE_WIDTH = 72  # screen pixels
LIST_WIDTH = 260  # screen pixels of the open list, so that names can be read in a narrow dock


class ModelPanel:
    """The choice of a model and of a device, and what they are doing."""

    model_selected = Signal(str)
    device_selected = Signal(str)
    more_wanted = Signal()

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
        self.show_state("loading …")
        self.widget: Container[Widget] = column(
            row(heading("Model"), self.model, self.device),
            row(heading(), self.state, self.more),
            self._hint_row,
        )
        self.show_hint("")
        self.model.changed.connect(self._on_model_changed)
        self.device.changed.connect(self._on_device_changed)
        self.more.clicked.connect(self.more_wanted.emit)

    def show_models(self, here: Collection[str], opened: Mapping[str, str], chosen: str) -> None:
        """Show all models that are known and those the user has opened, named by their places."""
        known = [(_entry(model, here), model.id) for model in CATALOG]
        others = [(title, place) for place, title in opened.items()]
        with self.model.changed.blocked():
            self.model.choices = [*known, *others]
            self.model.value = chosen

    def show_devices(self, devices: list[str], chosen: str) -> None:
        """Show what there is to choose, and what is chosen."""
        with self.device.changed.blocked():
            self.device.choices = list(dict.fromkeys(["auto", chosen, *devices]))
            self.device.value = chosen

    def show_state(self, state: str) -> None:
        """Say what the model is doing."""
        self.state.value = state

    def show_hint(self, hint: str) -> None:
        """Say how long looking at an image takes, or nothing."""
        self.hint.value = hint
        self._hint_row.visible = bool(hint)

    def _on_model_changed(self, model: str) -> None:
        self.model_selected.emit(model)

    def _on_device_changed(self, device: str) -> None:
        self.device_selected.emit(device)


def _entry(model: CatalogModel, here: Collection[str]) -> str:
    return model.title if model.id in here else f"{model.title}, not on this computer"

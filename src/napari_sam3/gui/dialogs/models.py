"""Where models come from: a window that tells what each can do and costs, and gets it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from magicgui.widgets import ProgressBar
from psygnal import Signal
from qtpy.QtWidgets import QDialog, QFileDialog, QVBoxLayout, QWidget

from ...engine import CATALOG, CatalogModel, Recommendation
from ..controls import allow, button, choice, column, row, sentence, size_text

CHOICE_TIP = "The models that are known; others open from a folder."
USE_TIP = "Answer with this model from now on; objects, prompts and masks stay."
DOWNLOAD_TIP = "Get this model from the Hugging Face hub, after one more question."
STOP_TIP = "End now; a download goes on from there when it is started again."
FOLDER_TIP = "Open a folder with a config.json and a model.safetensors, from wherever you have it."
FILE_TIP = "Open a file of weights, such as sam3.pt or one of micro-sam; it is checked first."
ADVICE_TIP = "Which model suits this computer."
FACTS_TIP = "What the model can do, needs and costs."
MESSAGE_TIP = "What is under way, and how it ended."
PROGRESS_TIP = "How much is done."
WEIGHTS = "Weights (*.safetensors *.pt *.pth);;All files (*)"
WIDTH = 420  # screen pixels
STEPS = 1000  # of the progress bar, which counts no further than two thousand million


class ModelDialog(QDialog):
    """Facts of one model at a time, and buttons to get and to use it."""

    use_wanted = Signal(str)
    download_wanted = Signal(str)
    stop_wanted = Signal()
    place_opened = Signal(object)  # a Path

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models")
        self.setMinimumWidth(WIDTH)
        self._here: frozenset[str] = frozenset()
        self._is_busy = False
        self.advice = sentence(ADVICE_TIP, "advice")
        self.facts = sentence(FACTS_TIP, "facts")
        self.message = sentence(MESSAGE_TIP, "message")
        self.model = choice([(model.title, model) for model in CATALOG], CHOICE_TIP, "known")
        self.use = button("Use", USE_TIP)
        self.download = button("Download …", DOWNLOAD_TIP)
        self.stop = button("Stop", STOP_TIP)
        self.folder = button("Open folder …", FOLDER_TIP)
        self.file = button("Open file …", FILE_TIP)
        self.progress = ProgressBar(value=0, min=0, max=STEPS, tooltip=PROGRESS_TIP)
        content = column(
            self.advice,
            self.model,
            self.facts,
            row(self.use, self.download, self.stop),
            self.progress,
            self.message,
            row(self.folder, self.file),
        )
        QVBoxLayout(self).addWidget(content.native)
        self._connect()
        self.show_idle()

    def show_computer(self, here: Collection[str], suits: Recommendation) -> None:
        """Show which models are here, and which one suits this computer."""
        self._here = frozenset(here)
        self.advice.value = suits.why
        self._show_facts()

    def show_model(self, name: str) -> None:
        """Show the facts of a known model."""
        for model in CATALOG:
            if model.id == name:
                self.model.value = model

    def show_progress(self, what: str, done: int, total: int) -> None:
        """Show how far a download or a conversion has come."""
        self._is_busy = True
        self.progress.visible = True
        self.progress.value = round(STEPS * done / max(total, 1))
        self.progress.native.setFormat(f"{size_text(done)} of {size_text(total)}")
        self.message.value = what
        self._show_facts()

    def show_idle(self, message: str = "") -> None:
        """Show that nothing is under way, and how the last thing ended."""
        self._is_busy = False
        self.progress.visible = False
        self.message.value = message
        self._show_facts()

    def _connect(self) -> None:
        self.model.changed.connect(self._show_facts)
        self.use.clicked.connect(self._on_use_clicked)
        self.download.clicked.connect(self._on_download_clicked)
        self.stop.clicked.connect(self.stop_wanted.emit)
        self.folder.clicked.connect(self._on_folder_clicked)
        self.file.clicked.connect(self._on_file_clicked)

    def _show_facts(self) -> None:
        model: CatalogModel = self.model.value
        is_here = model.id in self._here
        way = "On this computer." if is_here else _way_to(model)
        self.facts.value = f"{facts_of(model)}\n{way}"
        busy = "Something is under way." if self._is_busy else ""
        allow(self.use, USE_TIP, "" if is_here else "It is not on this computer.")
        allow(self.download, DOWNLOAD_TIP, "It is on this computer." if is_here else busy)
        allow(self.stop, STOP_TIP, "" if self._is_busy else "Nothing is under way.")
        self._grow()

    def _grow(self) -> None:
        """Become high enough for all lines; Qt itself would cut them."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            needed = layout.totalHeightForWidth(self.width())
            self.resize(self.width(), max(self.height(), needed))

    def _on_use_clicked(self) -> None:
        self.use_wanted.emit(self.model.value.id)

    def _on_download_clicked(self) -> None:
        self.download_wanted.emit(self.model.value.id)

    def _on_folder_clicked(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open the folder of a model")
        if chosen:
            self.place_opened.emit(Path(chosen))

    def _on_file_clicked(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a file of weights", "", WEIGHTS)
        if chosen:
            self.place_opened.emit(Path(chosen))


def facts_of(model: CatalogModel) -> str:
    """Tell what a model can do, needs and costs, a line each."""
    lines = [
        model.abilities,
        f"{model.parameters / 1e6:.0f} million parameters; needs "
        f"{size_text(model.memory_bytes)} of memory, or {size_text(model.gpu_bytes)} on a GPU.",
        _pace(model),
        f"Licence: {model.licence}",
    ]
    return "\n".join(line for line in lines if line)


def _way_to(model: CatalogModel) -> str:
    """Tell what getting a model takes."""
    size = f"To download: {size_text(model.download_bytes)}."
    if not model.is_gated:
        return size
    return f"{size}\nIts makers approve every user; you need an account on huggingface.co."


def _pace(model: CatalogModel) -> str:
    paces = [(model.cpu_seconds, "without a GPU"), (model.gpu_seconds, "with the GPU of a laptop")]
    told = [f"{seconds:g} s {where}" for seconds, where in paces if seconds is not None]
    return f"Looks at one image in about {', '.join(told)}." if told else ""

"""The window of models: what each can do and costs, and how to get it."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import ProgressBar
from psygnal import Signal
from qtpy.QtWidgets import QDialog, QFileDialog, QVBoxLayout, QWidget

from ...controller import Models, size_text, why_model_disabled
from ...engine import CATALOG, CatalogModel
from ..controls import allow, button, choice, column, row, sentence

CHOICE_TIP = "The models that can be downloaded; open others from a folder."
USE_TIP = "Use this model from now on; objects, prompts and masks stay."
DOWNLOAD_TIP = "Download this model from the Hugging Face hub; you are asked before it starts."
STOP_TIP = "End now; a download goes on from there when it is started again."
FOLDER_TIP = "Open a folder with a config.json and a model.safetensors."
FILE_TIP = "Open a file of weights, such as sam3.pt or one of micro-sam; it is checked first."
ADVICE_TIP = "Which model suits this computer."
FACTS_TIP = "What the model can do, needs and costs."
MESSAGE_TIP = "What is being downloaded or converted, and how that ended."
PROGRESS_TIP = "How much is done."
WEIGHTS = "Weights (*.safetensors *.pt *.pth);;All files (*)"
WIDTH = 420  # screen pixels
PROGRESS_STEPS = 1000  # a progress bar cannot count the bytes of more than 2 GB


class ModelDialog(QDialog):
    """Facts of one model at a time, and buttons to get and to use it."""

    use_wanted = Signal(str)
    download_wanted = Signal(str)
    path_selected = Signal(Path)  # of a folder or a file

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models")
        self.setMinimumWidth(WIDTH)
        self._models: Models | None = None
        self.advice = sentence(ADVICE_TIP, "advice")
        self.facts = sentence(FACTS_TIP, "facts")
        self.message = sentence(MESSAGE_TIP, "message")
        self.model = choice([(model.title, model) for model in CATALOG], CHOICE_TIP, "known")
        self.use = button("Use", USE_TIP)
        self.download = button("Download …", DOWNLOAD_TIP)
        self.stop = button("Stop", STOP_TIP)
        self.folder = button("Open folder …", FOLDER_TIP)
        self.file = button("Open file …", FILE_TIP)
        self.progress = ProgressBar(value=0, min=0, max=PROGRESS_STEPS, tooltip=PROGRESS_TIP)
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
        self.progress.visible = False
        self.stop_wanted = self.stop.clicked
        self._connect()

    def show_models(self, models: Models) -> None:
        """Show which models are on this computer, and how far a download has come."""
        self._models = models
        recommendation, transfer = models.recommendation, models.transfers.progress
        self.advice.value = "" if recommendation is None else recommendation.why
        self.message.value = models.transfers.message
        self.progress.visible = transfer is not None
        if transfer is not None:
            self.message.value = transfer.activity
            share = transfer.done / max(transfer.total, 1)
            self.progress.value = round(PROGRESS_STEPS * share)
            done, total = size_text(transfer.done), size_text(transfer.total)
            self.progress.native.setFormat(f"{done} of {total}")
        self._show_facts()

    def show_model(self, name: str) -> None:
        """Show the facts of a known model."""
        for model in CATALOG:
            if model.id == name:
                self.model.value = model

    def _connect(self) -> None:
        self.model.changed.connect(self._show_facts)
        self.use.clicked.connect(self._on_use_clicked)
        self.download.clicked.connect(self._on_download_clicked)
        self.folder.clicked.connect(self._on_folder_clicked)
        self.file.clicked.connect(self._on_file_clicked)

    def _show_facts(self) -> None:
        models = self._models
        if models is None:
            return
        model: CatalogModel = self.model.value
        is_here = model.id in (models.on_this_computer or ())
        availability = "On this computer." if is_here else _download_text(model)
        self.facts.value = f"{facts_of(model)}\n{availability}"
        allow(self.use, USE_TIP, why_model_disabled(models, model.id, "use"))
        allow(self.download, DOWNLOAD_TIP, why_model_disabled(models, model.id, "download"))
        allow(self.stop, STOP_TIP, why_model_disabled(models, model.id, "stop"))
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
        folder = QFileDialog.getExistingDirectory(self, "Open the folder of a model")
        if folder:
            self.path_selected.emit(Path(folder))

    def _on_file_clicked(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Open a file of weights", "", WEIGHTS)
        if file:
            self.path_selected.emit(Path(file))


def facts_of(model: CatalogModel) -> str:
    """Return what a model can do, needs and costs, a line each."""
    lines = [
        model.summary,
        f"{model.parameters / 1e6:.0f} million parameters; needs "
        f"{size_text(model.memory_bytes)} of memory, or {size_text(model.gpu_bytes)} on a GPU.",
        _encoding_time_text(model),
        f"Licence: {model.licence}",
    ]
    return "\n".join(line for line in lines if line)


def _download_text(model: CatalogModel) -> str:
    """Return what downloading a model takes."""
    size = f"To download: {size_text(model.download_bytes)}."
    if not model.is_gated:
        return size
    return f"{size}\nIts makers approve every user; you need an account on huggingface.co."


def _encoding_time_text(model: CatalogModel) -> str:
    times = [(model.cpu_seconds, "without a GPU"), (model.gpu_seconds, "with the GPU of a laptop")]
    texts = [f"{seconds:g} s {where}" for seconds, where in times if seconds is not None]
    return f"Encodes one image in about {', '.join(texts)}." if texts else ""

"""Sections of the dock: a panel with its window and its timers, connected to the controller."""

from __future__ import annotations

from napari.utils.notifications import show_error, show_warning
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtWidgets import QMessageBox, QVBoxLayout, QWidget

from ..controller import (
    ConceptState,
    Controller,
    Models,
    Transfer,
    size_text,
    why_find_disabled,
)
from ..engine import Selection, split_phrases
from ..values import PromptError
from .dialogs.library import LibraryDialog
from .dialogs.models import ModelDialog
from .jobs import BackgroundJobs, Clock
from .panels.concepts import ConceptPanel
from .panels.encode import EncodePanel
from .panels.frame_strip import FrameStrip
from .panels.model import ModelPanel

POLL_MS = 200  # how often progress is read while something runs


class ModelSection:
    """The choice of a model, and the window of all models, which opens on request.

    Parameters
    ----------
    models : Models
        Decides which model is used.
    jobs : BackgroundJobs
        Whose progress is shown.
    parent : QWidget
        The dock, over which windows open.
    """

    changed = Signal()  # what the model is doing

    def __init__(self, models: Models, jobs: BackgroundJobs, parent: QWidget) -> None:
        self.panel = ModelPanel()
        self.dialog = ModelDialog(parent)
        self._models = models
        self._jobs = jobs
        self._state = ""
        self._is_polling = False
        self._clock = Clock.every(POLL_MS, self._poll)
        self._connect()
        self._on_models_changed()

    def open_dialog(self) -> None:
        """Open the window of models."""
        self.dialog.show()
        self.dialog.raise_()

    def close(self) -> None:
        """End transfers and encoding, and poll no more."""
        self._models.close()
        if self._is_polling:
            self._models.stop_encoding()
            self._stop_polling()

    def _connect(self) -> None:
        models, panel, dialog = self._models, self.panel, self.dialog
        panel.model_selected.connect(models.choose_model)
        panel.device_selected.connect(models.choose_device)
        panel.more_wanted.connect(self.open_dialog)
        dialog.use_wanted.connect(models.choose_model)
        dialog.download_wanted.connect(models.offer_download)
        dialog.stop_wanted.connect(models.transfers.stop)
        dialog.path_selected.connect(models.open)
        models.changed.connect(self._on_models_changed)
        models.failed.connect(show_error)
        models.missing.connect(self._on_model_missing)
        models.transfer_offered.connect(self._on_transfer_offered)
        self._jobs.began.connect(self._on_jobs_began)

    def _poll(self) -> None:
        if not self._jobs.is_busy:
            self._stop_polling()
        if self._models.transfers.is_busy:
            self.dialog.show_models(self._models)
        state = self._models.state
        if state != self._state:
            self._state = state
            self.panel.show_state(state)
            self.changed.emit()

    def _stop_polling(self) -> None:
        self._is_polling = False
        self._clock.stop()

    def _on_jobs_began(self) -> None:
        if not self._is_polling:
            self._is_polling = True
            self._clock.start()

    def _on_models_changed(self) -> None:
        self._state = self._models.state
        self.panel.show(self._models)
        self.dialog.show_models(self._models)

    def _on_model_missing(self, model: str) -> None:
        self.open_dialog()
        self.dialog.show_model(model)

    def _on_transfer_offered(self, transfer: Transfer) -> None:
        if _is_confirmed(self.dialog, transfer.title, transfer.terms):
            self.open_dialog()
            self._models.transfers.start(transfer)


REST_MS = 300  # without a move or a prompt; then frames around the current one are encoded
BELOW_IMAGE = 1  # index of the strip in the dock of a window without sliders


class EncodingSection:
    """The row that encodes a stack, and the strip at the slider that shows what is encoded."""

    def __init__(self, controller: Controller, jobs: BackgroundJobs, dock: QWidget) -> None:
        self.panel = EncodePanel()
        self.strip = FrameStrip(controller)
        self._controller = controller
        self._jobs = jobs
        self._dock = dock
        self._is_open = False
        self._warning = ""  # about the disk, that was shown last
        self._rest = Clock.once(REST_MS, controller.prefetch.encode_neighbours)
        self._clock = Clock.every(POLL_MS, self._poll)
        self.panel.run_wanted.connect(self._on_run_wanted)
        controller.changed.connect(self._on_disturbed)
        controller.changed.connect(self._on_changed)
        jobs.began.connect(self._on_changed)

    def open(self) -> None:
        """Show the strip; called when the dock is shown."""
        self._is_open = True
        window = self._dock.window()
        if window is not None and not self.strip.is_at_slider:
            self.strip.move_to_slider(window)
        layout = self._dock.layout()
        if not self.strip.is_at_slider and isinstance(layout, QVBoxLayout):
            layout.insertWidget(BELOW_IMAGE, self.strip)
        self._on_changed()

    def hide(self) -> None:
        """Start nothing while the dock is hidden; a stack that is being encoded goes on."""
        self._is_open = False
        self._rest.stop()
        self._clock.stop()
        self._controller.prefetch.neighbours.stop()
        if isalive(self.strip):
            self.strip.hide()

    def close(self) -> None:
        """Leave the window, which may be gone."""
        self._is_open = False
        self._rest.stop()
        self._clock.stop()
        if isalive(self.strip):
            self.strip.remove()

    def _poll(self) -> None:
        readiness = self._controller.prefetch.readiness
        readiness.check_next()
        self.strip.show_state()
        self.panel.show(self._controller)
        self._show_warning(self._controller.prefetch.warning)
        if readiness.is_settled and not self._jobs.is_busy:
            self._clock.stop()

    def _show_warning(self, warning: str) -> None:
        """Say once that nothing is kept on disk, and again only after it was kept meanwhile."""
        if warning and warning != self._warning:
            show_warning(warning)
        self._warning = warning

    def _on_changed(self) -> None:
        self._controller.prefetch.readiness.unsettle()
        if self._is_open and not self._clock.is_running:
            self._clock.start()

    def _on_disturbed(self) -> None:
        if self._is_open:
            self._rest.start()

    def _on_run_wanted(self) -> None:
        prefetch = self._controller.prefetch
        if prefetch.stack.state == "running":
            prefetch.stack.pause()
            return
        forecast, fitting = prefetch.stack.forecast, prefetch.stack.fitting
        if forecast is None or fitting is None or fitting >= forecast.left:
            prefetch.encode_stack()
            return
        needed = f"All {forecast.count} frames take {size_text(forecast.nbytes or 0)}"
        if not fitting:
            show_error(f"{needed}, and no more of them fit: free some memory or space on the disk.")
            return
        terms = f"{needed}. Only {fitting} more fit: encode those, from this frame on?"
        if _is_confirmed(self._dock, "Encode stack", terms):
            prefetch.encode_stack(fitting)


TOGETHER_MS = 15  # slider moves within this time count as a single move
SETTLED_MS = 400  # after this time a slider counts as released


class ConceptSection:
    """The panel that finds all objects of a kind, and the window of saved exemplars.

    Parameters
    ----------
    controller : Controller
        Decides what is found.
    parent : QWidget
        The dock, over which windows open.
    """

    failed = Signal(str)
    told = Signal(str)  # what is good to know and no failure

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        self.panel = ConceptPanel()
        self.library = LibraryDialog(parent)
        self._controller = controller
        self._levels: Selection | None = None  # what the sliders select, until it is acted on
        self._soon = Clock.once(TOGETHER_MS, self._on_sliders_moved)
        self._settled = Clock.once(SETTLED_MS, self._on_sliders_settled)
        self._connect()
        self._connect_library()

    def show(self, controller: Controller) -> None:
        """Show the current concept, unless a slider is being moved."""
        if self._levels is None:
            self.panel.show(controller)

    def close(self) -> None:
        """Act on no slider any more."""
        self._soon.stop()
        self._settled.stop()

    def _connect(self) -> None:
        panel, search = self.panel, self._controller.search
        picking = self._controller.picking
        panel.tool_selected.connect(self._controller.choose_tool)
        panel.text_wanted.connect(self._on_text_wanted)
        panel.everything_wanted.connect(search.find_everything)
        panel.again_wanted.connect(search.find_again)
        panel.stop_wanted.connect(self._on_stop_wanted)
        panel.extent_selected.connect(search.choose_extent)
        panel.concept_selected.connect(self._on_concept_selected)
        panel.object_wanted.connect(picking.make_object)
        panel.objects_wanted.connect(picking.make_objects)
        panel.exemplar_wanted.connect(picking.use_as_exemplar)
        panel.removal_wanted.connect(search.remove_concept)
        panel.sliders.moved.connect(self._on_levels_wanted)
        panel.library_wanted.connect(self._on_library_wanted)

    def _connect_library(self) -> None:
        library, keeping = self.library, self._controller.keeping
        library.name_selected.connect(self._on_name_selected)
        library.use_wanted.connect(keeping.use)
        library.removal_wanted.connect(keeping.remove)
        library.saving_wanted.connect(keeping.keep)
        keeping.changed.connect(self._show_library)

    def _show_library(self) -> None:
        why_not = why_find_disabled(self._controller, "keep_exemplars")
        self.library.show_names(self._controller.keeping.names(), why_not)

    def _on_library_wanted(self) -> None:
        self._show_library()
        self.library.show()
        self.library.raise_()

    def _on_name_selected(self, name: str) -> None:
        self.library.show_exemplars(self._controller.keeping.exemplars(name))

    def _on_text_wanted(self, text: str) -> None:
        try:
            phrases = split_phrases(text)
        except PromptError as error:
            self.failed.emit(str(error))
            return
        engine = self._controller.annotations.engine
        remark = "" if engine is None else engine.remark(text)
        if remark:
            self.told.emit(remark)
        self._controller.search.find_texts([str(phrase) for phrase in phrases])

    def _on_stop_wanted(self) -> None:
        self._controller.search.stop()
        self._controller.annotations.stop_encoding()

    def _on_concept_selected(self, concept: ConceptState | None) -> None:
        self._controller.search.choose_concept(concept)
        self.panel.show_text("" if concept is None else concept.description.text)

    def _on_levels_wanted(self, levels: Selection) -> None:
        self._levels = levels
        self._soon.start()
        self._settled.start()

    def _on_sliders_moved(self) -> None:
        levels, self._levels = self._levels, None
        if levels is not None:
            self._controller.search.select(levels)

    def _on_sliders_settled(self) -> None:
        self._controller.search.settle()


def _is_confirmed(parent: QWidget, title: str, terms: str) -> bool:
    """Show what would happen, and return whether the user agrees."""
    button = QMessageBox.question(parent, title, terms)
    return bool(button == QMessageBox.StandardButton.Yes)

"""Getting, checking and loading the model that the user chooses."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
from napari.utils.notifications import show_error
from psygnal import Signal
from qtpy.QtWidgets import QMessageBox, QWidget

from ..controller import Works
from ..engine import (
    CATALOG,
    Checkpoint,
    Engine,
    Recommendation,
    converted,
    downloaded,
    hub_folder,
    is_here,
    known_model,
    recognise,
    recommended_here,
    suggested_folder,
    wait_hint,
)
from ..layers import compile_colors, import_tables
from ..storage import free_bytes
from ..values import CancelledError, ModelError, Prompts, Sam3Error
from .controls import size_text
from .dialogs.models import ModelDialog
from .jobs import BackgroundJobs, BackgroundStream, Clock
from .panels.model import ModelPanel

Report = Callable[[int, int], None]
Work = Callable[[Report, Callable[[], bool]], Path]
"""Told how to report bytes and when to end; returns what can be loaded then."""
POLL_MS = 200  # how often progress is looked at


class Transfers:
    """At most one piece of work, which reports bytes and can be stopped."""

    advanced = Signal(str, int, int)  # what it does, bytes done, bytes there are
    arrived = Signal(object)  # a Path
    ended = Signal(str)  # how, in a sentence, or nothing where all went well
    failed = Signal(str)  # a sentence for the user

    def __init__(self, jobs: BackgroundJobs) -> None:
        self._jobs = jobs
        self._stream: BackgroundStream | None = None
        self._stopped = Event()
        self._what = ""
        self._bytes = 0, 1
        self._clock = Clock.every(POLL_MS, self._look)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way."""
        return self._stream is not None

    def start(self, what: str, work: Work) -> None:
        """Begin, unless something is under way."""
        if self.is_busy:
            return
        self._stopped = stopped = Event()
        self._what, self._bytes = what, (0, 1)

        def results() -> Generator[Path, None, None]:
            yield work(report, stopped.is_set)

        def report(done: int, total: int) -> None:
            self._bytes = done, total
            if stopped.is_set():
                raise ModelError("Stopped.")

        self._stream = self._jobs.stream(results, self._on_arrived, self._on_ended)
        self._clock.start()
        self._look()

    def stop(self) -> None:
        """End as soon as the next bytes have arrived."""
        self._stopped.set()

    def close(self) -> None:
        """Stop what is under way, and tell nobody any more."""
        if self.is_busy:
            self.stop()
            self._clock.stop()
            self._stream = None

    def _look(self) -> None:
        self.advanced.emit(self._what, *self._bytes)

    def _on_arrived(self, place: Path) -> None:
        if not self.is_busy:
            return
        self._finish("")
        self.arrived.emit(place)

    def _on_ended(self, error: Sam3Error | None) -> None:
        if not self.is_busy:
            return
        if self._stopped.is_set():
            self._finish("Stopped.")
            return
        message = str(error or "It did not work.")
        self._finish(message)
        self.failed.emit(message)

    def _finish(self, message: str) -> None:
        self._stream = None
        self._clock.stop()
        self.ended.emit(message)


FIRST = "embedded"


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    engine: Engine
    here: frozenset[str]
    suits: Recommendation


class ModelChoice:
    """Keeps one model at work, and the one before it until another is ready.

    Parameters
    ----------
    panel : ModelPanel
        What the dock shows of it.
    parent : QWidget
        The dock, over which questions are asked.
    works : Works
        Who uses the model.
    load : callable
        Makes an engine of a model and a device; called by workers.
    """

    def __init__(
        self,
        panel: ModelPanel,
        parent: QWidget,
        jobs: BackgroundJobs,
        works: Works,
        load: Callable[[str, str], Engine],
    ) -> None:
        self.panel = panel
        self.dialog = ModelDialog(parent)
        self.transfers = Transfers(jobs)
        self._jobs = jobs
        self._works = works
        self._load = load
        self._model, self._device = FIRST, "auto"
        self._state = "not loaded"
        self._is_loading = False
        self._loaded: _Loaded | None = None  # who holds the engine keeps it in memory
        self._opened: dict[str, Checkpoint] = {}  # by their places
        self._connect()

    def load(self, model: str = FIRST, device: str = "auto") -> None:
        """Load a model that is on this computer; until it is ready, the one before answers."""
        self._is_loading = True
        self.panel.show_state("loading …")
        self.panel.show_hint("")
        self._jobs.submit(
            "load",
            partial(_put_to_work, self._works, partial(self._load, model, device)),
            partial(self._on_loaded, model, device),
            self._on_load_failed,
        )

    def show_encoding(self, what: str) -> None:
        """Say what the model does with an image; where that is nothing, how it stands."""
        if not self._is_loading:
            self.panel.show_state(what or self._state)

    def close(self) -> None:
        """End what is under way; what has arrived of a download stays."""
        self.transfers.close()

    def _connect(self) -> None:
        self.panel.model_selected.connect(self._on_model_selected)
        self.panel.device_selected.connect(self._on_device_selected)
        self.panel.more_wanted.connect(self._on_more_wanted)
        self.dialog.use_wanted.connect(self._on_model_selected)
        self.dialog.download_wanted.connect(self._on_download_wanted)
        self.dialog.stop_wanted.connect(self.transfers.stop)
        self.dialog.place_opened.connect(self.open)
        self.transfers.advanced.connect(self.dialog.show_progress)
        self.transfers.arrived.connect(self._on_arrived)
        self.transfers.ended.connect(self.dialog.show_idle)
        self.transfers.failed.connect(show_error)

    def open(self, place: Path) -> None:
        """Find out what a folder or a file is, and load or convert it."""
        self._jobs.submit("recognise", partial(recognise, place), self._on_recognised, self._on_failed)

    def _on_model_selected(self, model: str) -> None:
        if known_model(model) is None or is_here(model):
            self.load(model, self._device)
            return
        self._show_choice()
        self._on_more_wanted()
        self.dialog.show_model(model)

    def _on_device_selected(self, device: str) -> None:
        self.load(self._model, device)

    def _on_more_wanted(self) -> None:
        self.dialog.show()
        self.dialog.raise_()

    def _on_loaded(self, model: str, device: str, loaded: _Loaded) -> None:
        self._is_loading = False
        self._model, self._device, self._loaded = model, device, loaded
        self._state = f"ready, {loaded.engine.device}"
        self.dialog.show_computer(loaded.here, loaded.suits)
        self._show_choice()

    def _on_load_failed(self, error: Sam3Error) -> None:
        self._is_loading = False
        self._show_choice()
        _show(error)

    def _show_choice(self) -> None:
        """Show what is at work, whatever was asked for."""
        loaded = self._loaded
        here = frozenset[str]() if loaded is None else loaded.here
        titles = {place: _title(found) for place, found in self._opened.items()}
        self.panel.show_models(here | {FIRST}, titles, self._model)
        self.panel.show_state(self._state)
        if loaded is None:
            return
        opened = self._opened.get(self._model)
        resembled = self._model if opened is None else opened.resembles
        self.panel.show_devices(loaded.engine.devices(), self._device)
        self.panel.show_hint(wait_hint(resembled, loaded.engine.device))

    def _on_recognised(self, found: Checkpoint) -> None:
        if found.is_convertible:
            self._convert(found)
            return
        place = str(found.path)
        self._opened[place] = found
        self.load(place, self._device)

    def _convert(self, found: Checkpoint) -> None:
        folder = suggested_folder(found.path)
        if folder.is_dir():
            self.open(folder)
            return
        question = (
            f"{found.path.name} is {found.facts.title}. It must be converted once, into {folder}, "
            f"which takes {size_text(found.bytes)} of {size_text(free_bytes(folder))} "
            f"that are free. Licence: {found.facts.licence} Convert it?"
        )
        if self._asked("Convert the model", question):
            convert = partial(_converted, found.path, folder)
            self._on_more_wanted()
            self.transfers.start(f"Converting {found.path.name}", convert)

    def _on_download_wanted(self, name: str) -> None:
        model = known_model(name)
        if model is None:
            return
        question = (
            f"Download {model.title} ({name}) from the Hugging Face hub into {hub_folder()}? It "
            f"takes {size_text(model.download_bytes)} of "
            f"{size_text(free_bytes(hub_folder()))} that are free. Licence: {model.licence}"
        )
        if self._asked("Download the model", question):
            self.transfers.start(f"Downloading {model.title}", partial(downloaded, name))

    def _asked(self, title: str, question: str) -> bool:
        answer = QMessageBox.question(self.dialog, title, question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _on_arrived(self, place: Path) -> None:
        known = next((model.id for model in CATALOG if _is_of(model.id, place)), None)
        if known is None:
            self.open(place)
            return
        self.load(known, self._device)

    def _on_failed(self, error: Sam3Error) -> None:
        self.dialog.show_idle(str(error))
        _show(error)


def _show(error: Sam3Error) -> None:
    if not isinstance(error, CancelledError):  # which napari has shown, or the user has wanted
        show_error(str(error))


def _put_to_work(works: Works, load: Callable[[], Engine]) -> _Loaded:
    """Load a model, do beforehand what makes a first click slower, and only then use it."""
    engine = load()
    if engine.name == FIRST or engine.device != "cpu":
        with closing(engine.open(np.eye(64, dtype=np.float32))) as session:
            session.segment(0, Prompts(points=[(32, 32)]))
    compile_colors()
    import_tables()
    works.load_with(load)
    gc.collect()  # now, that it need not happen during the first click: it takes a second
    here = frozenset(model.id for model in CATALOG if is_here(model.id))
    return _Loaded(engine, here, recommended_here())


def _converted(path: Path, folder: Path, report: Report, _: Callable[[], bool]) -> Path:
    return converted(path, folder, report)


def _title(found: Checkpoint) -> str:
    return f"{found.facts.title}: {found.path.name}"


def _is_of(name: str, place: Path) -> bool:
    """Whether a folder in the hub's cache is of this model."""
    return f"models--{name.replace('/', '--')}" in place.parts

"""Which model is at work: choosing, opening, downloading, converting and loading it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
from psygnal import Signal

from ..engine import (
    CATALOG,
    Checkpoint,
    EncodingProgress,
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
from .annotations import Annotations
from .jobs import Jobs

DEFAULT_MODEL = "embedded"

Report = Callable[[int, int], None]
"""Takes the bytes that are done and the bytes in all."""


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """A download or a conversion, which the user agrees to before it starts."""

    title: str
    terms: str  # size, free disk space and licence, with the question at the end
    activity: str  # what to show while it runs
    run: Callable[[Report, Callable[[], bool]], Path]  # given `report` and `is_stopped`


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """How far a transfer has come."""

    activity: str
    done: int  # bytes
    total: int  # bytes


class Models:
    """Keeps one model at work, and the previous one until the next is ready.

    Parameters
    ----------
    works : Works
        The work on images that uses the model.
    jobs : Jobs
        Runs loading and transfers beside the main thread.
    load : callable
        Makes an engine of a model and a device; called by workers.
    """

    changed = Signal()  # anything a panel shows, except the bytes of a transfer
    failed = Signal(str)  # a sentence for the user
    missing = Signal(str)  # id of a model that was chosen and is not on this computer
    transfer_offered = Signal(Transfer)  # to be started once the user agrees

    def __init__(
        self, annotations: Annotations, jobs: Jobs, load: Callable[[str, str], Engine]
    ) -> None:
        self.transfers = Transfers(jobs)
        self._annotations = annotations
        self._jobs = jobs
        self._load = load
        self._at_work = DEFAULT_MODEL, "auto"
        self._loading: tuple[str, str] | None = None
        self._loaded: _LoadedModel | None = None  # keeps the engine in memory
        self._opened: dict[str, Checkpoint] = {}  # by path
        self.transfers.changed.connect(self._on_transfers_changed)
        self.transfers.arrived.connect(self._on_transfer_arrived)
        self.transfers.failed.connect(self._on_transfer_failed)

    @property
    def model(self) -> str:
        """Id or path of the model that is being loaded, or else of the one at work."""
        return (self._loading or self._at_work)[0]

    @property
    def device(self) -> str:
        """Device that was chosen for `model`."""
        return (self._loading or self._at_work)[1]

    @property
    def devices(self) -> list[str]:
        """Devices that the model at work can run on."""
        return [] if self._loaded is None else self._loaded.engine.devices()

    @property
    def engine(self) -> Engine | None:
        """The loaded model."""
        return None if self._loaded is None else self._loaded.engine

    @property
    def on_this_computer(self) -> frozenset[str] | None:
        """Ids of the known models that need no download; None until a model is loaded."""
        return None if self._loaded is None else self._loaded.on_this_computer

    @property
    def opened(self) -> dict[str, str]:
        """Titles of the models that the user has opened, by path."""
        return {
            path: f"{checkpoint.kind.title}: {checkpoint.path.name}"
            for path, checkpoint in self._opened.items()
        }

    @property
    def recommendation(self) -> Recommendation | None:
        """Which model suits this computer; None until a model is loaded."""
        return None if self._loaded is None else self._loaded.recommendation

    @property
    def state(self) -> str:
        """What the model is doing, in a few words."""
        if self._loading is not None:
            return "loading …"
        encoding = self._annotations.encoding_progress
        if encoding is not None:
            return _encoding_text(encoding)
        return "not loaded" if self._loaded is None else f"ready, {self._loaded.engine.device}"

    @property
    def hint(self) -> str:
        """How long encoding takes, where it takes long."""
        if self._loading is not None or self._loaded is None:
            return ""
        opened = self._opened.get(self.model)
        resembled = self.model if opened is None else opened.resembles
        return wait_hint(resembled, self._loaded.engine.device)

    def choose_model(self, model: str) -> None:
        """Load a model; if it is not on this computer, say so."""
        if known_model(model) is None or is_here(model):
            self.load(model, self.device)
            return
        self.changed.emit()
        self.missing.emit(model)

    def choose_device(self, device: str) -> None:
        """Load the same model on another device."""
        self.load(self.model, device)

    def load(self, model: str = DEFAULT_MODEL, device: str = "auto") -> None:
        """Load a model that is on this computer; until it is ready, the previous one is used."""
        self._loading = model, device
        self.changed.emit()
        self._jobs.submit(
            "load",
            partial(_load_and_warm_up, self._annotations, partial(self._load, model, device)),
            partial(self._on_loaded, model, device),
            self._on_load_failed,
        )

    def open(self, path: Path) -> None:
        """Recognise a folder or a file of weights, and load it or offer to convert it."""
        self._jobs.submit(
            "recognise", partial(recognise, path), self._on_recognised, self._on_recognise_failed
        )

    def offer_download(self, name: str) -> None:
        """Offer to download a known model."""
        model = known_model(name)
        if model is None:
            return
        folder = hub_folder()
        terms = (
            f"Download {model.title} ({name}) from the Hugging Face hub into {folder}? It takes "
            f"{size_text(model.download_bytes)} of {size_text(free_bytes(folder))} that are free. "
            f"Licence: {model.licence}"
        )
        download = partial(downloaded, name)
        self.transfer_offered.emit(
            Transfer("Download the model", terms, f"Downloading {model.title}", download)
        )

    def stop_encoding(self) -> None:
        """End the encoding of an image."""
        self._annotations.stop_encoding()

    def close(self) -> None:
        """End a transfer that runs; what has arrived of a download stays."""
        self.transfers.close()

    def _offer_conversion(self, checkpoint: Checkpoint) -> None:
        path, folder = checkpoint.path, suggested_folder(checkpoint.path)
        if folder.is_dir():
            self.open(folder)
            return
        terms = (
            f"{path.name} is {checkpoint.kind.title}. It must be converted once, into {folder}, "
            f"which takes {size_text(checkpoint.bytes)} of {size_text(free_bytes(folder))} "
            f"that are free. Licence: {checkpoint.kind.licence} Convert it?"
        )
        convert = partial(_convert, path, folder)
        self.transfer_offered.emit(
            Transfer("Convert the model", terms, f"Converting {path.name}", convert)
        )

    def _report(self, error: Sam3Error) -> None:
        """Say what failed, except what napari has shown already."""
        if not isinstance(error, CancelledError):
            self.failed.emit(str(error))

    def _on_loaded(self, model: str, device: str, loaded: _LoadedModel) -> None:
        self._at_work, self._loading, self._loaded = (model, device), None, loaded
        self.changed.emit()

    def _on_load_failed(self, error: Sam3Error) -> None:
        self._loading = None
        self.changed.emit()
        self._report(error)

    def _on_recognised(self, checkpoint: Checkpoint) -> None:
        if checkpoint.is_convertible:
            self._offer_conversion(checkpoint)
            return
        path = str(checkpoint.path)
        self._opened[path] = checkpoint
        self.load(path, self.device)

    def _on_recognise_failed(self, error: Sam3Error) -> None:
        self.transfers.message = str(error)
        self.changed.emit()
        self._report(error)

    def _on_transfers_changed(self) -> None:
        self.changed.emit()

    def _on_transfer_arrived(self, path: Path) -> None:
        downloaded_id = next((model.id for model in CATALOG if _is_snapshot(path, model.id)), None)
        if downloaded_id is None:
            self.open(path)
            return
        self.load(downloaded_id, self.device)

    def _on_transfer_failed(self, message: str) -> None:
        self.failed.emit(message)


class Transfers:
    """Runs at most one download or conversion, which can be stopped."""

    changed = Signal()  # one began or ended
    arrived = Signal(Path)  # what can be loaded now
    failed = Signal(str)  # a sentence for the user

    def __init__(self, jobs: Jobs) -> None:
        self.message = ""  # how the last transfer ended; empty where all went well
        self._jobs = jobs
        self._current: Transfer | None = None
        self._stopped = Event()
        self._bytes = 0, 1  # done, total

    @property
    def is_busy(self) -> bool:
        """Whether a transfer runs."""
        return self._current is not None

    @property
    def progress(self) -> TransferProgress | None:
        """How far the transfer has come, while there is one."""
        current = self._current
        return None if current is None else TransferProgress(current.activity, *self._bytes)

    def start(self, transfer: Transfer) -> None:
        """Start a transfer, unless one runs."""
        if self.is_busy:
            return
        self._stopped = stopped = Event()
        self._current, self._bytes, self.message = transfer, (0, 1), ""

        def results() -> Generator[Path, None, None]:
            yield transfer.run(report, stopped.is_set)

        def report(done: int, total: int) -> None:
            self._bytes = done, total
            if stopped.is_set():
                raise ModelError("Stopped.")

        self.changed.emit()
        self._jobs.stream(results, self._on_arrived, self._on_ended)

    def stop(self) -> None:
        """End as soon as the next bytes have arrived."""
        self._stopped.set()

    def close(self) -> None:
        """Stop the transfer and emit nothing more about it."""
        if self.is_busy:
            self.stop()
            self._current = None

    def _on_arrived(self, path: Path) -> None:
        if self.is_busy:
            self._finish("")
            self.arrived.emit(path)

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
        self._current, self.message = None, message
        self.changed.emit()


def size_text(count: int) -> str:
    """Return a number of bytes in words, such as 3.5 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


@dataclass(frozen=True, slots=True, eq=False)
class _LoadedModel:
    engine: Engine
    on_this_computer: frozenset[str]  # ids of known models
    recommendation: Recommendation


def _load_and_warm_up(annotations: Annotations, load: Callable[[], Engine]) -> _LoadedModel:
    """Load a model, do beforehand what makes a first click slower, and only then use it."""
    engine = load()
    if engine.name == DEFAULT_MODEL or engine.device != "cpu":
        with closing(engine.open(np.eye(64, dtype=np.float32))) as session:
            session.segment(0, Prompts(points=[(32, 32)]))
    compile_colors()
    import_tables()
    annotations.load_with(load)
    gc.collect()  # now, that it need not happen during the first click: it takes a second
    on_this_computer = frozenset(model.id for model in CATALOG if is_here(model.id))
    return _LoadedModel(engine, on_this_computer, recommended_here())


def _convert(path: Path, folder: Path, report: Report, _: Callable[[], bool]) -> Path:
    return converted(path, folder, report)


def _encoding_text(progress: EncodingProgress) -> str:
    if not progress.total:
        return "encoding the image …"
    return f"encoding the image, {100 * progress.done // progress.total} %"


def _is_snapshot(path: Path, model: str) -> bool:
    """Return whether a folder in the hub's cache is of this model."""
    return f"models--{model.replace('/', '--')}" in path.parts

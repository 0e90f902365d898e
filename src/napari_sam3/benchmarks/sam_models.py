"""Speed and memory of a single model, and of the stock classes of transformers beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    CLIPTokenizer,
    EdgeTamVideoModel,
    PreTrainedModel,
    Sam2VideoModel,
    Sam3VideoModel,
)

from ..engine.backends.base import Backend, Embedding, Prediction
from ..engine.backends.sam.concepts import TextEncoder
from ..engine.backends.sam.loading import load_model, model_name
from ..engine.backends.sam.memory_bank import PropagatedMask
from ..engine.backends.sam.precision import checked_precision
from ..engine.backends.sam.sam2 import Sam2Backend
from ..engine.backends.sam.sam3 import Sam3Backend
from ..engine.backends.sam.sam3_model import Sam3
from ..engine.devices import Precision, checked_device
from ..engine.loading import load_backend
from ..engine.weights.catalog import EMBEDDED
from ..engine.weights.checkpoints import recognise
from ..engine.weights.local_models import local_path
from ..values import Concept, ModelError, Prompts
from .movies import FRAMES_PER_REPETITION, Scene
from .stock_models import StockTrial, letter_tokenizer, random_model, stock_models
from .stopwatch import MIB, median, peak_memory, timed

GPU_MEMORY = "peak memory of the GPU, MiB"
VIDEO_CLASSES: dict[str, type[PreTrainedModel]] = {
    "sam3": Sam3VideoModel,
    "sam2": Sam2VideoModel,
    "edgetam": EdgeTamVideoModel,
}
"""The video class of transformers for each kind of checkpoint."""
Figures = dict[str, float]
"""Measurements by the name of their row."""


def measure_own(backend: Backend, scene: Scene) -> Figures:
    """Measure a model as the engine calls it."""
    trial = EngineTrial(backend, scene.image)
    trial.encode()  # the first call of any network is slower
    trial.click(scene.points[0])
    figures = _measure("ours", trial, scene, backend.device)
    return figures | {"peak memory of the process, MiB": peak_memory()}


def measure_stock(shared: Shared, scene: Scene) -> Figures:
    """Measure the stock classes around the same weights."""
    return _measure("stock", shared.stock_trial(scene.image), scene, shared.backend.device)


def steps(trial: Trial, scene: Scene) -> Iterator[tuple[str, float]]:
    """Take every step, and yield its name and how many milliseconds it took."""
    yield "encode, ms", median([timed(trial.encode) for _ in range(scene.repeat)])
    first, *later = [timed(partial(trial.click, point)) for point in scene.points]
    yield "first click, ms", first
    yield "click, ms", median(later)
    yield "95 % of clicks, ms", float(np.percentile(later, 95))
    if trial.reads_text:
        texts = [f"cell {number}" for number in range(scene.repeat + 1)]  # each is encoded anew
        first, *later = [timed(partial(trial.detect, text)) for text in texts]
        yield "first concept, ms", first
        yield "concept, ms", median(later)
    trial.start_propagation(scene.masks)
    times = [timed(trial.propagate) for _ in range(FRAMES_PER_REPETITION * scene.repeat)]
    yield "tracking per frame and object, ms", float(np.mean(times)) / len(scene.masks)


def table(columns: dict[str, Figures]) -> str:
    """Return figures as a Markdown table, with a column of ratios if there are two models."""
    names = [*columns, *(["ours / stock"] if len(columns) > 1 else [])]
    lines = ["| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for row in next(iter(columns.values())):
        figures = [column.get(row) for column in columns.values()]
        cells = ["" if figure is None else _rounded(figure) for figure in figures]
        if len(figures) > 1:
            cells.append(_ratio(*figures))
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A model of transformers, and the model of the engine around the same weights."""

    model: Any
    tokenizer: CLIPTokenizer | None
    backend: Backend
    precision: Precision

    def stock_trial(self, image: NDArray[np.float32]) -> StockTrial:
        """Return the steps of the stock classes, after which the own model is of no use."""
        models = stock_models(self.model, self.tokenizer)
        return StockTrial(models, image, self.backend.device, self.precision)


def alone(name: str, device: str) -> Backend:
    """Load a model as the engine does, without stock classes around its weights."""
    return load_backend(name, device)


def with_random_weights(name: str, device: str) -> Shared:
    """Build a model of full size with random weights.

    Raises
    ------
    ModelError
        If it is not known how large it is, or there is no such device.
    """
    device = checked_device(device)
    title = f"{name} (random weights)"
    return _shared_parts(random_model(name), letter_tokenizer(), title, device)


def with_its_weights(name: str, device: str) -> Shared:
    """Load a model that is on this computer.

    Raises
    ------
    ModelError
        If it is not, if there is no such device, or transformers has nothing to compare it with.
    WeightsError
        If its weights cannot be used.
    """
    device = checked_device(device)
    checkpoint = None if name == EMBEDDED.id else recognise(local_path(name))
    kind = VIDEO_CLASSES.get(checkpoint.kind.name) if checkpoint else None
    if checkpoint is None or kind is None:
        raise ModelError(f"There is nothing to compare {name} with: leave out --stock.")
    folder = checkpoint.path
    tokenizer = None
    if checkpoint.kind.name == "sam3":
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return _shared_parts(load_model(kind, folder), tokenizer, model_name(folder), device)


class Trial(Protocol):
    """A model and an image, which stands for all frames of a stack."""

    reads_text: bool

    def encode(self) -> None:
        """Encode the image; all further steps need it."""

    def click(self, point: Sequence[float]) -> None:
        """Segment the object at a point, (row, col) in pixels of the image."""

    def detect(self, text: str) -> None:
        """Detect all objects that a text describes."""

    def start_propagation(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Start to propagate objects with these masks, (H, W) each."""

    def propagate(self) -> None:
        """Propagate to the next frame, which is encoded already, and update the memory."""


class EngineTrial:
    """Calls a model as the engine does.

    Parameters
    ----------
    backend : Backend
        The model.
    image : (H, W, 3) array of float32
        In 0..1.
    """

    _embedding: Embedding

    def __init__(self, backend: Backend, image: NDArray[np.float32]) -> None:
        self.reads_text = backend.reads_text
        self._backend = backend
        self._image = image

    def encode(self) -> None:
        """Encode the image; all further steps need it."""
        self._embedding = self._backend.encode(self._image)

    def click(self, point: Sequence[float]) -> None:
        """Segment the object at a point, (row, col) in pixels of the image."""
        self._backend.segment(self._embedding, [Prompts(points=[point])], [None])

    def detect(self, text: str) -> None:
        """Detect all objects that a text describes."""
        self._backend.find(self._embedding, Concept(text))

    def start_propagation(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Start to propagate objects with these masks, (H, W) each."""
        update_memory = self._backend.update_memory
        self._memories = [
            update_memory(None, self._embedding, Prediction.given(mask)) for mask in masks
        ]

    def propagate(self) -> None:
        """Propagate to the next frame, which is encoded already, and update the memory."""
        frame = copy(self._embedding)  # as for any new frame, nothing is derived from it so far
        predictions = self._backend.propagate(frame, self._memories)
        self._memories = [
            self._backend.update_memory(memory, frame, prediction)
            if _is_there(prediction)
            else memory
            for memory, prediction in zip(self._memories, predictions, strict=True)
        ]


def _measure(name: str, trial: Trial, scene: Scene, device: str) -> Figures:
    """Measure a trial, and write each figure to standard error as it comes."""
    reset_gpu_peak(device)
    figures = {}
    for row, figure in steps(trial, scene):
        figures[row] = figure
        sys.stderr.write(f"{name}: {row}: {_rounded(figure)}\n")
    peak = gpu_peak(device)
    return figures if peak is None else figures | {GPU_MEMORY: peak / MIB}


def reset_gpu_peak(device: str) -> None:
    """Start to measure the peak memory of the GPU anew, where there is CUDA."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def gpu_peak(device: str) -> int | None:
    """Return the peak memory of the GPU in bytes, or None without CUDA."""
    if torch.device(device).type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device)


def _is_there(prediction: Prediction) -> bool:
    """Whether an object is there; masks of random weights may have no pixel."""
    return isinstance(prediction.memory, PropagatedMask) or bool(prediction.pixels.any())


def _shared_parts(model: Any, tokenizer: CLIPTokenizer | None, name: str, device: str) -> Shared:
    precision = checked_precision(device)
    backend: Backend
    if isinstance(model, Sam3VideoModel) and tokenizer is not None:
        sam3 = Sam3(model, device, precision)
        backend = Sam3Backend(sam3, TextEncoder(sam3, tokenizer), name)
    else:
        backend = Sam2Backend(model, name, device, precision)
    return Shared(model, tokenizer, backend, precision)


def _rounded(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.1f}"


def _ratio(ours: float | None, stock: float | None) -> str:
    return f"{ours / stock:.2f}" if ours and stock else ""

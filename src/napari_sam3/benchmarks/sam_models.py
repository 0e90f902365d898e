"""Measure one model of the SAM family, and the stock classes of transformers beside it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from time import perf_counter
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
from ..engine.backends.registry import EMBEDDED
from ..engine.backends.sam.concepts import TextEncoder
from ..engine.backends.sam.loading import load_model, model_name
from ..engine.backends.sam.memory_bank import PropagatedMask
from ..engine.backends.sam.precision import checked_precision
from ..engine.backends.sam.sam2 import Sam2Backend
from ..engine.backends.sam.sam3 import Sam3Backend
from ..engine.backends.sam.sam3_model import Sam3
from ..engine.devices import Precision, checked_device
from ..engine.loading import load_backend
from ..engine.weights.checkpoints import recognise
from ..engine.weights.local_models import local_path
from ..values import Concept, ModelError, Prompts
from .stock_models import StockTrial, letter_tokenizer, random_model, stock_models
from .stopwatch import CLICKS, MIB, Scene, machine, peak_memory, scene

STEPS = 2  # frames of every repetition
GPU_MEMORY = "peak memory of the GPU, MiB"

Figures = dict[str, float]
"""What was measured, by the name of its row."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what measuring one model takes."""
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="measure this model: embedded, a name such as facebook/sam3, or a folder of weights",
    )
    parser.add_argument(
        "--random-weights",
        action="store_true",
        help="with --model: build it at full size with random weights, without a download",
    )
    parser.add_argument(
        "--stock",
        action="store_true",
        help="with --model: measure the classes of transformers beside it",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help=f"with --model: encode N times, click {CLICKS} N times, follow {STEPS} N frames",
    )
    parser.add_argument(
        "--objects", type=int, default=1, metavar="N", help="with --model: follow N; default 1"
    )


def is_asked(arguments: argparse.Namespace) -> bool:
    """Return whether one model shall be measured.

    Raises
    ------
    ModelError
        If something is asked of a model that is not named.
    """
    if arguments.model is None and (arguments.random_weights or arguments.stock):
        raise ModelError("No model is named: add --model and a name such as facebook/sam3.")
    return arguments.model is not None


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the figures as a Markdown table; single figures as they come.

    Raises
    ------
    ModelError
        If less than one repetition or object is asked for, or the model cannot be had.
    """
    if arguments.repeat < 1 or arguments.objects < 1:
        raise ModelError("Nothing would be measured: choose 1 or more for --repeat and --objects.")
    columns = _measured(arguments, scene(arguments.repeat, arguments.objects))
    sys.stdout.write(table(columns))
    if arguments.json:
        arguments.json.write_text(json.dumps(columns, indent=1), encoding="utf-8")
    return 0


def table(columns: dict[str, Figures]) -> str:
    """Write figures as a Markdown table, with a column for how they compare if there are two."""
    names = [*columns, *(["ours / stock"] if len(columns) > 1 else [])]
    lines = ["| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for row in next(iter(columns.values())):
        figures = [column.get(row) for column in columns.values()]
        cells = ["" if figure is None else _rounded(figure) for figure in figures]
        if len(figures) > 1:
            cells.append(_ratio(*figures))
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def steps(trial: Trial, scene: Scene) -> Iterator[tuple[str, float]]:
    """Take every step, and yield what it is and how many milliseconds it took."""
    yield "encode, ms", _median([_timed(trial.encode) for _ in range(scene.repeat)])
    first, *later = [_timed(partial(trial.click, point)) for point in scene.points]
    yield "first click, ms", first
    yield "click, ms", _median(later)
    yield "95 % of clicks, ms", float(np.percentile(later, 95))
    if trial.reads_text:
        words = [f"cell {number}" for number in range(scene.repeat + 1)]  # each is new
        first, *later = [_timed(partial(trial.find, word)) for word in words]
        yield "first concept, ms", first
        yield "concept, ms", _median(later)
    trial.start(scene.masks)
    spent = [_timed(trial.propagate) for _ in range(STEPS * scene.repeat)]
    yield "tracking per frame and object, ms", float(np.mean(spent)) / len(scene.masks)


def _measured(arguments: argparse.Namespace, scene: Scene) -> dict[str, Figures]:
    pass
    pass

    shared = _shared(arguments)
    backend = shared.backend if shared else alone(arguments.model, arguments.device)
    sys.stdout.write(machine(backend.name, backend.device))
    sys.stdout.flush()
    trial = OwnTrial(backend, scene.image)
    trial.encode()  # the first pass through any network is slower
    trial.click(scene.points[0])
    ours = _figures("ours", trial, scene, backend.device)
    ours["peak memory of the process, MiB"] = peak_memory()
    if not shared or not arguments.stock:
        return {"ours": ours}
    stock = _figures("stock", shared.stock_trial(scene.image), scene, backend.device)
    return {"ours": ours, "stock": stock}


def _shared(arguments: argparse.Namespace) -> Shared | None:
    """Return a model that stock classes can share, if that is asked for."""
    pass

    if arguments.random_weights:
        return with_random_weights(arguments.model, arguments.device)
    return with_its_weights(arguments.model, arguments.device) if arguments.stock else None


def _figures(who: str, trial: Trial, scene: Scene, device: str) -> Figures:
    """Measure one trial, and tell on standard error how far it is."""
    pass

    forget_gpu_peak(device)
    figures = {}
    for row, figure in steps(trial, scene):
        figures[row] = figure
        sys.stderr.write(f"{who}: {row}: {_rounded(figure)}\n")
    peak = gpu_peak(device)
    return figures if peak is None else figures | {GPU_MEMORY: peak / MIB}


def _timed(step: Callable[[], None]) -> float:
    start = perf_counter()
    step()
    return 1000 * (perf_counter() - start)


def _median(figures: list[float]) -> float:
    return float(np.median(figures))


def _rounded(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.1f}"


def _ratio(ours: float | None, stock: float | None) -> str:
    return f"{ours / stock:.2f}" if ours and stock else ""


class Trial(Protocol):
    """A model and one image, which stands for all frames of a stack."""

    reads_text: bool

    def encode(self) -> None:
        """Embed the image; all other steps come later."""

    def click(self, point: Sequence[float]) -> None:
        """Outline what lies at a point, (row, col) in pixels of the image."""

    def find(self, word: str) -> None:
        """Find all objects that a word describes."""

    def start(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Begin to follow objects with these masks, (H, W) each."""

    def propagate(self) -> None:
        """Find them on the next frame, which is embedded already, and remember what is seen."""


class OwnTrial:
    """Asks a model the way the engine asks it.

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
        """Embed the image; all other steps come later."""
        self._embedding = self._backend.encode(self._image)

    def click(self, point: Sequence[float]) -> None:
        """Outline what lies at a point, (row, col) in pixels of the image."""
        self._backend.segment(self._embedding, [Prompts(points=[point])], [None])

    def find(self, word: str) -> None:
        """Find all objects that a word describes."""
        self._backend.find(self._embedding, Concept(word))

    def start(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Begin to follow objects with these masks, (H, W) each."""
        update_memory = self._backend.update_memory
        self._tracks = [
            update_memory(None, self._embedding, Prediction.given(mask)) for mask in masks
        ]

    def propagate(self) -> None:
        """Find them on the next frame, which is embedded already, and remember what is seen."""
        frame = copy(self._embedding)  # as for any new frame, nothing is derived from it so far
        answers = self._backend.propagate(frame, self._tracks)
        self._tracks = [
            self._backend.update_memory(track, frame, answer) if _is_seen(answer) else track
            for track, answer in zip(self._tracks, answers, strict=True)
        ]


def forget_gpu_peak(device: str) -> None:
    """Begin to watch anew how much memory of the GPU is used, where there is CUDA."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def gpu_peak(device: str) -> int | None:
    """Return how many bytes of the GPU were used at most, or None without CUDA."""
    if torch.device(device).type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device)


def _is_seen(answer: Prediction) -> bool:
    """Whether an object is there; what random weights see may have no pixel."""
    return isinstance(answer.memory, PropagatedMask) or bool(answer.pixels.any())


KINDS: dict[str, type[PreTrainedModel]] = {
    "sam3": Sam3VideoModel,
    "sam2": Sam2VideoModel,
    "edgetam": EdgeTamVideoModel,
}
"""What transformers has for each kind of checkpoint."""


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A model of transformers, and the engine's own one around the same weights."""

    model: Any
    tokenizer: CLIPTokenizer | None
    backend: Backend
    precision: Precision

    def stock_trial(self, image: NDArray[np.float32]) -> StockTrial:
        """Try the stock classes on an image, (H, W, 3); the own model is not asked any more."""
        models = stock_models(self.model, self.tokenizer)
        return StockTrial(models, image, self.backend.device, self.precision)


def alone(name: str, device: str) -> Backend:
    """Load a model as the engine does, to compare it with nothing."""
    return load_backend(name, device)


def with_random_weights(name: str, device: str) -> Shared:
    """Build a model of full size.

    Raises
    ------
    ModelError
        If it is not known how large it is, or there is no such device.
    """
    chosen = checked_device(device)
    return _shared_parts(random_model(name), letter_tokenizer(), f"{name} (random weights)", chosen)


def with_its_weights(name: str, device: str) -> Shared:
    """Load a model that is on this computer.

    Raises
    ------
    ModelError
        If it is not, if there is no such device, or transformers has nothing to compare it with.
    WeightsError
        If its weights cannot be used.
    """
    chosen = checked_device(device)
    checkpoint = None if name == EMBEDDED.id else recognise(local_path(name))
    kind = KINDS.get(checkpoint.kind.name) if checkpoint else None
    if checkpoint is None or kind is None:
        raise ModelError(f"There is nothing to compare {name} with: leave out --stock.")
    folder = checkpoint.path
    is_reading = checkpoint.kind.name == "sam3"
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True) if is_reading else None
    return _shared_parts(load_model(kind, folder), tokenizer, model_name(folder), chosen)


def _shared_parts(model: Any, tokenizer: CLIPTokenizer | None, name: str, device: str) -> Shared:
    precision = checked_precision(device)
    backend: Backend
    if isinstance(model, Sam3VideoModel) and tokenizer is not None:
        sam3 = Sam3(model, device, precision)
        backend = Sam3Backend(sam3, TextEncoder(sam3, tokenizer), name)
    else:
        backend = Sam2Backend(model, name, device, precision)
    return Shared(model, tokenizer, backend, precision)

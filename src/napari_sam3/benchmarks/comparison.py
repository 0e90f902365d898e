"""The steps that every contender of the comparison takes, and how they are timed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

from .movies import Task
from .stopwatch import median, peak_memory, timed

DECODER = "Decoder"
"""Ending of the class names of the mask decoders in all models that are compared."""

Figures = dict[str, float]
"""Measurements by their name; times in milliseconds, memory in MiB."""


class Contender(Protocol):
    """A program that segments and propagates objects."""

    def warm_up(self) -> None:
        """Encode an image and click on it: the first time is always slower."""

    def encode(self) -> None:
        """Encode all frames, or find their embeddings, until each can be clicked on."""

    def click(self, frame: int, point: NDArray[np.int64]) -> None:
        """Segment the object at a point, (row, col), of the frame that was encoded last."""

    def propagate(self) -> int:
        """Propagate the objects through all frames and return how many masks have a pixel."""


def arguments() -> argparse.ArgumentParser:
    """Declare the command line of every contender."""
    parser = argparse.ArgumentParser()
    parser.add_argument("movie", help="the folder of the movie")
    parser.add_argument("folder", help="a folder for the files of the contender")
    parser.add_argument("--frames", type=int, required=True, help="how many of the movie")
    parser.add_argument("--model", default="", help="which model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--reopen", action="store_true", help="return to embeddings on disk")
    return parser


def run(contender: Contender, task: Task, is_reopening: bool) -> None:
    """Let a contender take its steps, and write the figures as a line of JSON."""
    figures = measure_reopening(contender, task) if is_reopening else measure(contender, task)
    sys.stdout.write(json.dumps({name: round(value, 4) for name, value in figures.items()}) + "\n")


def measure(contender: Contender, task: Task) -> Figures:
    """Encode, click, and propagate."""
    count = len(task.movie)
    contender.warm_up()
    figures = {"frames": float(count), "encode": timed(contender.encode) / count}
    figures |= measure_clicks(contender, task)
    masks: list[int] = []
    figures["propagate"] = timed(lambda: masks.append(contender.propagate())) / count
    figures["propagated"] = 100 * masks[0] / (count * len(task.objects))
    return figures | {"peak": peak_memory()}


def measure_clicks(contender: Contender, task: Task) -> Figures:
    """Click on object after object, and repeat by itself what the decoder did for each."""
    clicks = [partial(contender.click, task.last, point) for point in task.clicks[task.last]]
    figures = {"first click": timed(clicks[0])}
    decoders = decoders_in(clicks[0])
    spent, decoding = [], []
    for click in clicks[1:]:
        with DecoderReplay(decoders) as replay:
            spent.append(timed(click))
        decoding.append(timed(replay.repeat))
    figures |= {"click": median(spent), "late click": float(np.percentile(spent, 95))}
    return figures | {"decoder": median(decoding)}


def measure_reopening(contender: Contender, task: Task) -> Figures:
    """Return to a stack that was encoded, and click."""
    contender.warm_up()
    figures = {"reopen": timed(contender.encode) / len(task.movie)}
    click = partial(contender.click, task.last, task.clicks[task.last][0])
    return figures | {"click after reopening": timed(click)}


@dataclass(frozen=True, slots=True, eq=False)
class DecoderCall:
    """A call of a mask decoder, with the tensors that a click has prepared for it."""

    decoder: nn.Module
    inputs: tuple[Any, ...]
    named_inputs: dict[str, Any]
    dtype: torch.dtype | None  # of autocast, where that is on

    def repeat(self) -> None:
        """Call the decoder once more."""
        device = next(self.decoder.parameters()).device
        is_autocast = self.dtype is not None
        with torch.inference_mode(), torch.autocast(device.type, self.dtype, is_autocast):
            self.decoder(*self.inputs, **self.named_inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)


class DecoderReplay:
    """Records the calls of some decoders in a ``with``, and repeats them."""

    def __init__(self, decoders: Iterable[nn.Module]) -> None:
        self.calls: list[DecoderCall] = []
        self._decoders = list(decoders)
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for decoder in self._decoders:
            self._hooks.append(decoder.register_forward_pre_hook(self._record, with_kwargs=True))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def repeat(self) -> None:
        """Repeat all calls."""
        for call in self.calls:
            call.repeat()

    def _record(self, decoder: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        kind = next(decoder.parameters()).device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        self.calls.append(DecoderCall(decoder, inputs, named, dtype))


def decoders_in(step: Callable[[], object]) -> set[nn.Module]:
    """Take a step and return the mask decoders that were called in it."""
    decoders: set[nn.Module] = set()

    def record(module: nn.Module, _inputs: Any) -> None:
        if type(module).__name__.endswith(DECODER):
            decoders.add(module)

    hook = register_module_forward_pre_hook(record)
    step()
    hook.remove()
    return decoders

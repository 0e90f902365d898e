"""Through how many of our files and functions a click runs that needs no new embedding."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from napari.components import ViewerModel

import napari_sam3
from napari_sam3.controller import Controller
from napari_sam3.engine import Engine
from tests.controller.bench import MOVIE
from tests.jobs import InlineJobs

PACKAGE = str(Path(napari_sam3.__file__).parent)
NETWORK = str(Path(PACKAGE, "engine", "backends", "embedded"))

CALLS_BEFORE = 393
"""Measured on Python 3.11 before prompts were read and checked once, in 37 files."""
MOST_FILES = 25


class Tracer:
    """Counts calls of our functions by file; those of the network, and from it, are left out."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._depth = 0  # functions of the network that run

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGE):
            return
        is_network = file.startswith(NETWORK)
        if is_network and event in ("call", "return"):
            self._depth += 1 if event == "call" else -1
        elif event == "call" and not self._depth:
            self.calls[file] += 1


def test_warm_click_runs_through_few_files_and_functions() -> None:
    engine, viewer, tracer = Engine.load("embedded"), ViewerModel(), Tracer()
    viewer.add_image(MOVIE)
    controller = Controller(viewer, InlineJobs(), lambda: engine)
    changes: list[None] = []
    for row, col in ((30, 10), (31, 11)):
        controller.click((0, row, col), is_positive=True)
    controller.changed.connect(lambda: changes.append(None))

    sys.setprofile(tracer)
    controller.click((0, 32, 12), is_positive=True)
    sys.setprofile(None)

    assert len(tracer.calls) <= MOST_FILES, sorted(tracer.calls)
    assert sum(tracer.calls.values()) <= CALLS_BEFORE / 2, tracer.calls
    assert len(changes) == 2, "one when the prompt is placed, one when its mask is there"

"""The models of a computer without weights: all draw disks, and a test says which are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from napari_sam3.controller import models
from napari_sam3.engine import Budgets, Engine, ModelError
from tests.backends import DiskBackend

SAM3 = "facebook/sam3"
EDGETAM = "yonigozlan/EdgeTAM-hf"
BUDGETS = Budgets(memory=10**8, device=10**8, disk=0)


class Computer:
    """The models that are on this computer, and what loading each of them gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hub: Path) -> None:
        self.models = {"embedded", EDGETAM}
        self.backends: dict[str, DiskBackend] = {}
        self.broken: set[str] = set()
        self.loaded: list[tuple[str, str]] = []  # model and device
        self._engines: dict[tuple[str, str], Engine] = {}
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(models, "is_here", lambda name: name in self.models)
        monkeypatch.setattr(models, "hub_folder", lambda: hub)

    def load(self, model: str, device: str) -> Engine:
        self.loaded.append((model, device))
        if model in self.broken:
            raise ModelError("The weights are broken: download them again.")
        if (model, device) not in self._engines:
            backend = self.backends.setdefault(model, DiskBackend())
            self._engines[model, device] = Engine(backend, BUDGETS)
        return self._engines[model, device]

    def download_with(self, download: Callable[..., Path]) -> None:
        """Let downloads do this."""
        self._monkeypatch.setattr(models, "downloaded", download)

    def convert_with(self, convert: Callable[..., Path]) -> None:
        """Let conversions do this."""
        self._monkeypatch.setattr(models, "converted", convert)

    def hold_downloads(self) -> Event:
        """Let downloads get to a quarter and wait there to be stopped; set once one waits."""
        waiting = Event()

        def hold(
            _: str, report: Callable[[int, int], None], is_stopped: Callable[[], bool]
        ) -> Path:
            while not is_stopped():
                report(1, 4)
                waiting.set()
            raise ModelError("Stopped.")

        self.download_with(hold)
        return waiting

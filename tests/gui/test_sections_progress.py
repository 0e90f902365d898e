"""What a user sees while the model encodes an image, and how she ends it."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam3.engine import progress
from tests.backends import DiskEmbedding
from tests.controller.bench import PATH
from tests.gui.backends import PacedBackend
from tests.gui.window import Window


class SlowBackend(PacedBackend):
    """Encodes an image in steps, and never comes further than two of five until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = Event()
        self.is_encoding = False

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        self.is_encoding = True
        try:
            self._wait()
        finally:
            self.is_encoding = False
        return super().encode(image)

    def _wait(self) -> None:
        while not self.may_go_on.wait(0.01):
            progress.advance(2, 5)


@pytest.fixture(autouse=True)
def every_encoding_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LONG_SECONDS", 0)


@pytest.fixture
def backend() -> Iterator[SlowBackend]:
    made = SlowBackend()
    yield made
    made.may_go_on.set()


def click_and_wait(window: Window) -> None:
    window.click(PATH[0])
    window.until(lambda: "encoding the image, 40 %" in state(window))
    window.settle()


def state(window: Window) -> str:
    return str(window.dock.model.panel.state.value)


def test_dock_says_how_far_the_model_has_come(window: Window, backend: SlowBackend) -> None:
    click_and_wait(window)

    backend.may_go_on.set()

    window.until_ready()
    window.until(lambda: window.dock.controller.hypothesis)


def test_stop_ends_the_encoding_and_leaves_the_prompt(
    window: Window, backend: SlowBackend, messages: list[Any]
) -> None:
    click_and_wait(window)

    window.press(window.dock.propagate.stop)

    window.until_ready()
    window.settle()
    assert not backend.is_encoding
    assert not window.dock.propagate.stop.native.isEnabled()
    assert [len(layer.data) for layer in window.dock.controller.prompt_layers] == [0, 1, 0]
    assert window.dock.controller.hypothesis is None
    assert messages == []


def test_click_after_a_stop_becomes_a_mask(window: Window, backend: SlowBackend) -> None:
    click_and_wait(window)
    window.press(window.dock.propagate.stop)
    window.until_ready()

    backend.may_go_on.set()
    window.click((30, 14))

    window.until(lambda: window.dock.controller.hypothesis)


def test_closed_section_ends_the_encoding(window: Window, backend: SlowBackend) -> None:
    click_and_wait(window)

    window.dock.model.close()

    window.until(lambda: not backend.is_encoding)
    window.until(lambda: not window.dock.jobs.is_busy)

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from napari.utils.notifications import notification_manager

from napari_sam3.engine import Engine
from napari_sam3.gui.dock import SegmentationDock
from tests.controller.bench import MOVIE
from tests.gui.backends import PacedBackend
from tests.gui.window import Window


@pytest.fixture
def backend() -> Iterator[PacedBackend]:
    made = PacedBackend()
    yield made
    made.go_on()


@pytest.fixture
def messages() -> Iterator[list[Any]]:
    """All notifications that a user gets during a test."""
    notification_manager.records.clear()
    yield notification_manager.records
    notification_manager.records.clear()


@pytest.fixture
def open_window(
    make_napari_viewer: Callable[..., Any], qtbot: Any, backend: PacedBackend
) -> Callable[..., Window]:
    """Open napari with the dock, and with an image unless there is to be none."""

    def make(pixels: Any = None, **settings: Any) -> Window:
        viewer = make_napari_viewer(show=True)
        if pixels is not None:
            viewer.add_image(pixels, **settings)
            viewer.dims.set_current_step(0, 0)
        engine = Engine(backend)
        dock = SegmentationDock(viewer, lambda model, device: engine)
        viewer.window.add_dock_widget(dock, name="SAM 3", area="right")
        window = Window(viewer, dock, qtbot)
        window.until_ready()
        backend.prompts.clear()  # the prompt that warmed it up
        window.settle()
        return window

    return make


@pytest.fixture
def window(open_window: Callable[..., Window]) -> Window:
    """A time-lapse of one disk, and the dock beside it."""
    return open_window(MOVIE, name="disks")

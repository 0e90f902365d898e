"""A biologist changes to SAM 3 and back: real windows, real mouse and keys, a tiny SAM 3.

Its weights are random, so what it outlines is arbitrary; that it runs, and how often, is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_sam3.controller import prefetch
from tests.controller.bench import MOVIE, PATH
from tests.gui.window import DOCK, RIGHT, Window

if TYPE_CHECKING:
    from torch import nn

FRAMES = len(MOVIE)
CORRECTED = 6  # the frame that gets a second click

# tiny_models imports transformers: here, as for a user, that happens after napari has drawn


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a SAM 3, which the user selects in the file dialog."""
    from tests.tiny_models import tiny_sam3

    made = tiny_sam3(tmp_path / "my-sam3")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(made))
    return made


@pytest.fixture
def window(
    make_napari_viewer: Callable[..., Any],
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Window:
    """A time-lapse of one disk, and the dock beside it as from the Plugins menu."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(MOVIE, name="disks")
    _, kept = viewer.window.add_plugin_dock_widget("napari-sam3", DOCK)
    dock = kept.dock
    opened = Window(viewer, dock, qtbot)
    opened.until_ready()
    go_to(opened, 0)
    return opened


@pytest.fixture
def encoded(
    window: Window, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[nn.Module]]:
    """What SAM 3 encodes once the user has opened its folder: one entry an image.

    No frame is encoded in advance: on a busy machine, a click takes so long that the frames around
    it would be encoded meanwhile.
    """
    from tests.tiny_models import visits

    monkeypatch.setattr(prefetch, "CHEAP_SECONDS", 0)
    window.dock.model.dialog.folder.native.click()
    window.until(lambda: window.dock.model.panel.model.value == str(folder))
    window.until_ready()
    with visits(backend_of(window)._model.trunk) as seen:
        yield seen


def test_sam3_outlines_propagates_and_corrects_and_its_masks_stay(
    window: Window, encoded: list[nn.Module]
) -> None:
    assert backend_of(window).name == "my-sam3"
    assert window.dock.model.panel.model.native.currentText() == "SAM 3: my-sam3"

    outline_with_a_click(window)
    assert len(encoded) == 1

    propagate_to_the_end(window)
    assert len(encoded) == FRAMES
    assert listed(window)[:2] == ["cell 1", f"{FRAMES} of {FRAMES}"]

    correct_a_frame(window)
    assert len(encoded) == FRAMES

    before = masks(window)
    go_back_to_the_embedded_model(window)
    np.testing.assert_array_equal(masks(window), before)
    assert len(encoded) == FRAMES


def outline_with_a_click(window: Window) -> None:
    window.click(PATH[0])
    window.until(lambda: window.dock.controller.hypothesis)
    window.settle()
    assert masks(window)[0].any()
    assert not masks(window)[1:].any()
    assert 0 < float(listed(window)[2]) <= 1


def propagate_to_the_end(window: Window) -> None:
    controller = window.dock.controller
    window.key(Qt.Key.Key_G)
    window.until(lambda: controller.is_running)
    window.until(lambda: not controller.is_running)
    window.settle()
    assert masks(window).any(axis=(1, 2)).all()


def correct_a_frame(window: Window) -> None:
    """Click on and beside the disk on a propagated frame; no other frame changes."""
    before = masks(window)
    go_to(window, CORRECTED)

    window.click(PATH[CORRECTED])
    window.until(lambda: window.dock.controller.hypothesis)
    first = masks(window)[CORRECTED]
    window.click((5, 5), RIGHT)
    window.until(lambda: not np.array_equal(masks(window)[CORRECTED], first))

    prompts = window.dock.controller.annotation.workspace.prompts.snapshot
    assert prompts.positive.tolist() == [True, True, False]
    assert [row[0] for row in rows(window)] == ["cell 1"]
    unprompted = np.arange(FRAMES) != CORRECTED
    np.testing.assert_array_equal(masks(window)[unprompted], before[unprompted])


def go_back_to_the_embedded_model(window: Window) -> None:
    """Choose the embedded model in the dock, and outline another object with it."""
    window.dock.model.panel.model.value = "embedded"
    window.until(lambda: backend_of(window).name == "embedded")
    window.until_ready()
    window.key(Qt.Key.Key_M)
    go_to(window, 0)
    window.click(PATH[0])
    window.until(lambda: window.dock.controller.hypothesis)
    window.settle()
    assert [row[0] for row in rows(window)] == ["cell 1", "cell 2"]


def go_to(window: Window, frame: int) -> None:
    window.viewer.dims.set_current_step(0, frame)
    window.settle()


def masks(window: Window) -> NDArray[np.bool_]:
    """Return where the first object is, (F, H, W)."""
    return np.asarray(window.viewer.layers["cell 1"].data[:]) == 1


def rows(window: Window) -> list[list[str]]:
    """Return the list of objects: name, frames and score of each."""
    table = window.dock.objects.table
    items = [table.topLevelItem(index) for index in range(table.topLevelItemCount())]
    return [[item.text(column) for column in range(3)] for item in items]


def listed(window: Window) -> list[str]:
    """Return the row of the only object."""
    (row,) = rows(window)
    return row


def backend_of(window: Window) -> Any:
    """Return the model at work, which a user knows by its name only."""
    return window.dock.models.engine._model.backend

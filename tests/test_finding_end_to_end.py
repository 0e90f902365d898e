"""A biologist who wants all cells: real windows, real mouse, the real embedded model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractSlider

from napari_sam3.samples import dividing_cells
from tests.gui.window import DOCK, Window

TRUTH = dividing_cells().labels
CELLS = [int(value) for value in np.unique(TRUTH[0]) if value]


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Window:
    """The time-lapse of cells, opened as from the File menu, and the dock beside it."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 740)
    viewer.open_sample("napari-sam3", "timelapse")
    _, kept = viewer.window.add_plugin_dock_widget("napari-sam3", DOCK)
    dock = kept.dock
    made = Window(viewer, dock, qtbot)
    made.until_ready()
    viewer.dims.set_current_step(0, 0)
    viewer.reset_view()
    made.settle()
    return made


def test_cells_are_found_by_an_exemplar_picked_promoted_and_corrected(
    window: Window, pictures: Path
) -> None:
    draw_exemplar(window, CELLS[0])
    take_picture(window, pictures / "exemplar.png")
    assert len(cells_shown(window)) >= 0.6 * len(CELLS)

    move_threshold(window)
    take_picture(window, pictures / "threshold.png")

    picked = pick_a_candidate(window)
    take_picture(window, pictures / "picked.png")

    make_object(window, picked)
    correct_object(window, picked)
    take_picture(window, pictures / "object.png")


def test_everything_is_found_on_all_frames_until_it_is_stopped(
    window: Window, pictures: Path
) -> None:
    controller = window.dock.controller
    window.dock.concepts.panel.extent.value = "all frames"
    window.press(window.dock.concepts.panel.everything)
    window.until(lambda: controller.search.concepts.everything.sheet)

    window.press(window.dock.concepts.panel.find)
    window.until(lambda: not controller.annotation.detection.is_busy)
    window.dock.concepts.panel.more.native.click()
    take_picture(window, pictures / "everything.png")

    done = len(controller.search.current.store.frame_indices())
    assert 1 <= done < len(TRUTH)
    assert len(cells_shown(window)) >= 0.6 * len(CELLS)


def draw_exemplar(window: Window, cell: int) -> None:
    """Drag a box around a cell; all cells are found once the mouse is released."""
    window.press(window.dock.concepts.panel.tools["exemplar"])
    top, left, bottom, right = box_of(cell)
    window.drag([(top, left), ((top + bottom) / 2, (left + right) / 2), (bottom, right)])
    window.until(lambda: window.dock.controller.search.candidate_count)


def move_threshold(window: Window) -> None:
    """Move the slider until a third of the cells no longer count."""
    search = window.dock.controller.search
    found = search.candidate_count.shown
    slider = window.dock.concepts.panel.sliders.threshold.native.findChild(QAbstractSlider)
    while search.candidate_count.shown > 2 * found / 3:
        QTest.keyClick(slider, Qt.Key.Key_Right)
        window.qtbot.wait(1)
    assert f"{search.candidate_count.shown} found" in found_text(window)


def pick_a_candidate(window: Window) -> int:
    """Choose pick, and click a cell that does not count any more."""
    controller = window.dock.controller
    shown = cells_shown(window)
    hidden = [cell for cell in CELLS if cell not in shown and is_candidate(window, cell)]
    window.key(Qt.Key.Key_K)

    window.click(centre_of(hidden[0]))

    window.until(lambda: controller.picking.picked)
    assert hidden[0] in cells_shown(window)
    assert controller.annotation.workspace.prompts.snapshot.keys == frozenset()
    return hidden[0]


def make_object(window: Window, cell: int) -> None:
    controller = window.dock.controller
    window.press(window.dock.concepts.panel.object)
    assert overlap(window, cell) > 0.5
    assert controller.current.id in controller.starts
    assert cell not in cells_shown(window)


def correct_object(window: Window, cell: int) -> None:
    """Click into the object, and beside it with the other button."""
    controller = window.dock.controller
    window.key(Qt.Key.Key_P)
    window.click(centre_of(cell))
    window.until(lambda: controller.hypothesis)
    assert len(controller.annotation.workspace.objects) == 1
    assert overlap(window, cell) > 0.5


def cells_shown(window: Window) -> list[int]:
    """Name the true cells whose middle is labelled in the concept's layer on the first frame."""
    labels = np.asarray(window.dock.controller.search.current.sheet.layer.data[0])
    return [cell for cell in CELLS if labels[centre_of(cell)]]


def is_candidate(window: Window, cell: int) -> bool:
    concept = window.dock.controller.search.current
    return concept.position_at((0,), *centre_of(cell)) is not None


def overlap(window: Window, cell: int) -> float:
    """Return intersection over union of the current object and a true cell."""
    controller = window.dock.controller
    shown = controller.annotation.workspace.results.mask((0,), controller.current.id).pixels
    true: NDArray[np.bool_] = TRUTH[0] == cell
    return float((shown & true).sum() / (shown | true).sum())


def centre_of(cell: int) -> tuple[int, int]:
    row, col = np.argwhere(TRUTH[0] == cell).mean(axis=0).round().astype(int)
    return int(row), int(col)


def box_of(cell: int) -> tuple[int, int, int, int]:
    rows, cols = np.nonzero(TRUTH[0] == cell)
    return rows.min() - 2, cols.min() - 2, rows.max() + 2, cols.max() + 2


def found_text(window: Window) -> str:
    window.settle()
    return window.dock.concepts.panel.found.value


def take_picture(window: Window, path: Path) -> None:
    window.settle()
    window.viewer.screenshot(str(path), canvas_only=False, flash=False)

"""A biologist at work: real windows, real mouse and keys, the real embedded model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import Qt

from napari_sam3.commands.demo import cell_centres
from napari_sam3.samples import dividing_cells
from napari_sam3.samples.organoid import organoid
from tests.gui.window import DOCK, RIGHT, Window, grab_screen, visible_windows, windows_on_screen

TRUTH = dividing_cells().labels
FRAMES = len(TRUTH)
CENTRES = cell_centres(dividing_cells())
CELLS = [int(TRUTH[0][tuple(centre)]) for centre in CENTRES.round().astype(int)]


@pytest.fixture
def open_sample(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Callable[[str], Window]:
    """Open a sample as from the File menu, and the dock as from the Plugins menu."""

    def make(name: str) -> Window:
        viewer = make_napari_viewer(show=True)
        viewer.window._qt_window.resize(1366, 740)
        viewer.open_sample("napari-sam3", name)
        _, kept = viewer.window.add_plugin_dock_widget("napari-sam3", DOCK)
        dock = kept.dock
        window = Window(viewer, dock, qtbot)
        window.until_ready()
        viewer.reset_view()
        window.settle()
        return window

    return make


def test_cells_are_outlined_propagated_corrected_and_saved(
    open_sample: Callable[[str], Window], pictures: Path, tmp_path: Path
) -> None:
    window = open_sample("timelapse")
    assert_no_window_but_napari(window, pictures)

    go_to(window, 0)
    outline_with_clicks(window, pictures)
    go_through_the_hypotheses(window)
    outline_with_a_click(window)
    outline_with_a_box(window)
    take_picture(window, pictures / "dock.png")

    stop_midway(window)
    propagate_to_the_end(window)
    go_to(window, FRAMES // 2)
    take_picture(window, pictures / "propagated.png")

    correct_a_frame(window)
    take_picture(window, pictures / "corrected.png")
    painted = paint_by_hand(window, frame=10)
    propagate_to_the_end(window)
    assert mask(window, 2, frame=10)[painted].all()

    assert_saved_as_shown(window, tmp_path / "cell 1.tif")


def assert_no_window_but_napari(window: Window, pictures: Path) -> None:
    grab_screen(pictures / "screen.png")
    main = window.viewer.window._qt_window
    assert visible_windows() == [main]
    assert windows_on_screen() == [main]


def outline_with_clicks(window: Window, pictures: Path) -> None:
    """Click on a cell, then beside it with the other button."""
    window.click(centre_of(CELLS[0], 0))
    window.until(lambda: window.dock.controller.hypothesis)
    assert overlap(window, 1, CELLS[0], frame=0) > 0.5
    take_picture(window, pictures / "first-click.png")

    beside = beside_of(CELLS[0], 0)
    window.click(beside, RIGHT)
    window.until(lambda: is_idle(window))

    prompts = window.dock.controller.annotation.workspace.prompts.snapshot
    assert prompts.positive.tolist() == [True, False]
    assert not mask(window, 1, frame=0)[beside]
    assert overlap(window, 1, CELLS[0], frame=0) > 0.5


def go_through_the_hypotheses(window: Window) -> None:
    """Show all masks of the prompts until the first is back."""
    shown = mask(window, 1, frame=0)
    count = window.dock.controller.hypothesis.count
    assert count > 1
    for step in range(1, count + 1):
        window.key(Qt.Key.Key_A)
        window.until(lambda step=step: window.dock.controller.hypothesis.position == step % count)
    np.testing.assert_array_equal(mask(window, 1, frame=0), shown)


def outline_with_a_click(window: Window) -> None:
    window.key(Qt.Key.Key_M)
    window.click(centre_of(CELLS[1], 0))
    window.until(lambda: window.dock.controller.hypothesis)
    assert overlap(window, 2, CELLS[1], frame=0) > 0.5


def outline_with_a_box(window: Window) -> None:
    window.key(Qt.Key.Key_M)
    window.key(Qt.Key.Key_B)
    rows, cols = np.nonzero(TRUTH[0] == CELLS[2])
    top, left, bottom, right = rows.min() - 2, cols.min() - 2, rows.max() + 2, cols.max() + 2
    window.drag([(top, left), ((top + bottom) / 2, (left + right) / 2), (bottom, right)])
    window.until(lambda: window.dock.controller.hypothesis)
    assert overlap(window, 3, CELLS[2], frame=0) > 0.5


def stop_midway(window: Window) -> None:
    """Press Stop when a few masks have come; they stay, and no more come."""
    controller = window.dock.controller
    window.key(Qt.Key.Key_G)
    window.until(lambda: controller.is_running)
    window.until(lambda: frames_done(window, 1) >= 4)
    assert controller.is_running

    window.press(window.dock.propagate.stop)

    done = frames_done(window, 1)
    assert not controller.is_running
    window.until(lambda: not window.dock.jobs._streams)
    assert frames_done(window, 1) == done
    assert 4 <= done < FRAMES


def propagate_to_the_end(window: Window) -> None:
    controller = window.dock.controller
    window.key(Qt.Key.Key_G)
    window.until(lambda: controller.is_running)
    window.until(lambda: not controller.is_running)
    for number, cell in enumerate(CELLS, start=1):
        assert overlap(window, number, cell, frame=1) > 0.5


def correct_a_frame(window: Window) -> None:
    """Choose the first cell in the list, and click on and beside it on a later frame."""
    frame = 20
    table = window.dock.objects.table
    window.settle()
    item = table.topLevelItem(0)
    table.scrollToItem(item)
    window.press_at(table.viewport(), table.visualItemRect(item).center())
    go_to(window, frame)
    window.key(Qt.Key.Key_P)

    beside = beside_of(CELLS[0], frame)
    window.click(centre_of(CELLS[0], frame))
    window.until(lambda: window.dock.controller.hypothesis)
    window.click(beside, RIGHT)
    window.until(lambda: is_idle(window))

    assert window.dock.controller.current.id == 1
    assert not mask(window, 1, frame)[beside]
    assert overlap(window, 1, CELLS[0], frame) > 0.5


def paint_by_hand(window: Window, frame: int) -> tuple[NDArray[np.int64], ...]:
    """Paint with napari's brush, and return the pixels that are new."""
    go_to(window, frame)
    labels = layer_of(window, 2)
    window.viewer.layers.selection.active = labels
    labels.brush_size = 6
    before = mask(window, 2, frame)
    window.key(Qt.Key.Key_P)
    window.drag([(10, 200), (12, 210), (14, 220)])
    labels.mode = "pan_zoom"
    painted = np.nonzero(mask(window, 2, frame) & ~before)
    assert len(painted[0]) > 50
    return painted


def assert_saved_as_shown(window: Window, path: Path) -> None:
    labels = layer_of(window, 1)
    shown = np.asarray(labels.data[:])

    labels.save(str(path))

    (opened,) = window.viewer.open(path, layer_type="labels")
    np.testing.assert_array_equal(opened.data, shown)


def test_nucleus_of_a_stack_is_outlined_and_propagated(
    open_sample: Callable[[str], Window],
) -> None:
    window = open_sample("zstack")
    truth = organoid().labels
    middle = len(truth) // 2
    nucleus = largest_on(truth[middle])
    go_to(window, middle)

    window.click(centre_of(nucleus, middle, truth))
    window.until(lambda: window.dock.controller.hypothesis)
    window.key(Qt.Key.Key_G)
    window.until(lambda: window.dock.controller.is_running)
    window.until(lambda: not window.dock.controller.is_running)

    labels = layer_of(window, 1)
    np.testing.assert_allclose(labels.scale, (2, 0.5, 0.5))
    assert labels.axis_labels == ("z", "y", "x")
    assert overlap(window, 1, nucleus, middle, truth) > 0.5
    assert 3 <= frames_done(window, 1) < len(truth)


@pytest.mark.parametrize("name", ["zstack", "timelapse"])
def test_sample_opens_from_the_menu(make_napari_viewer: Callable[..., Any], name: str) -> None:
    viewer = make_napari_viewer()

    (layer,) = viewer.open_sample("napari-sam3", name)

    assert layer in viewer.layers
    assert layer.ndim == 3
    assert all(str(unit) != "pixel" for unit in layer.units)


def test_demo_outlines_and_propagates_its_cells(
    monkeypatch: pytest.MonkeyPatch, make_napari_viewer: Callable[..., Any], qtbot: Any
) -> None:
    from napari_sam3.gui import demo

    viewer = make_napari_viewer()
    monkeypatch.setattr(demo.napari, "Viewer", lambda: viewer)
    monkeypatch.setattr(demo.napari, "run", lambda: None)

    demo.show(CENTRES)

    dock = next(iter(viewer.window.dock_widgets.values())).dock
    window = Window(viewer, dock, qtbot)
    window.until(lambda: dock.controller.is_running)
    window.until(lambda: not dock.controller.is_running)
    assert [frames_done(window, number) for number in (1, 2, 3)] == [FRAMES] * 3


def go_to(window: Window, frame: int) -> None:
    window.viewer.dims.set_current_step(0, frame)
    window.settle()


def layer_of(window: Window, object_id: int) -> Labels:
    layer = window.dock.controller.annotation.workspace.results.layer_of(object_id)
    assert layer in window.viewer.layers
    return layer


def mask(window: Window, object_id: int, frame: int) -> NDArray[np.bool_]:
    return np.asarray(layer_of(window, object_id).data[frame]) == object_id


def overlap(
    window: Window, object_id: int, cell: int, frame: int, truth: NDArray[Any] = TRUTH
) -> float:
    """Return intersection over union of what is shown and the truth."""
    shown, true = mask(window, object_id, frame), truth[frame] == cell
    return float((shown & true).sum() / (shown | true).sum())


def frames_done(window: Window, object_id: int) -> int:
    workspace = window.dock.controller.annotation.workspace
    return workspace.frames_done(workspace.objects[object_id], window.dock.controller.focus.axes)


def is_idle(window: Window) -> bool:
    return window.dock.jobs._current is None and not window.dock.jobs._waiting


def centre_of(cell: int, frame: int, truth: NDArray[Any] = TRUTH) -> tuple[int, int]:
    row, col = np.argwhere(truth[frame] == cell).mean(axis=0).round().astype(int)
    return int(row), int(col)


def beside_of(cell: int, frame: int) -> tuple[int, int]:
    """Return a pixel of the background, six rows above a cell."""
    top = np.argwhere(TRUTH[frame] == cell).min(axis=0)[0]
    return int(top) - 6, centre_of(cell, frame)[1]


def largest_on(labels: NDArray[Any]) -> int:
    """Return the object of most pixels."""
    return int(np.bincount(labels[labels > 0]).argmax())


def take_picture(window: Window, path: Path) -> None:
    window.settle()
    window.viewer.screenshot(str(path), canvas_only=False, flash=False)

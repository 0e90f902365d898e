"""A biologist at a slide of 20 000 x 20 000 pixels: a real window, a real mouse, the real model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from napari_sam3.samples import dividing_cells
from tests.gui.window import DOCK, Window
from tests.large import SIDE, TiledImage
from tests.test_end_to_end import take_picture

SAMPLE = dividing_cells()
TRUTH = SAMPLE.labels[0]
TILE = TRUTH.shape
MEMORY = 300 * 2**20  # bytes that a click on the slide may add; the slide alone would be 800 MB


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Window:
    """A slide tiled with the cells of the sample, and the dock beside it."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 740)
    levels = [TiledImage(SAMPLE.image[0], (SIDE >> step,) * 2, 1 << step) for step in range(5)]
    low, high = np.percentile(SAMPLE.image[0], (1, 99.8))
    viewer.add_image(
        levels, multiscale=True, name="slide", contrast_limits=(low, high), scale=(0.5, 0.5)
    )
    _, kept = viewer.window.add_plugin_dock_widget("napari-sam3", DOCK)
    dock = kept.dock
    made = Window(viewer, dock, qtbot)
    made.until_ready()
    viewer.reset_view()
    made.settle()
    return made


def test_a_cell_of_a_large_slide_is_outlined_by_a_click(window: Window, pictures: Path) -> None:
    cell, corner = largest_cell(), (36 * TILE[0], 41 * TILE[1])
    middle = tuple(np.argwhere(cell).mean(axis=0).round().astype(int) + corner)
    zoom_to(window, middle, zoom=4)
    levels = window.viewer.layers["slide"].data
    for level in levels:
        level.reads.clear()
    before, start = psutil.Process().memory_info().rss, time.monotonic()

    window.click(middle)
    window.until(lambda: window.dock.controller.hypothesis)
    seconds = time.monotonic() - start

    mask = window.dock.controller.annotation.workspace.results.mask((), 1)
    assert overlap(mask.box, mask.crop, cell, corner) > 0.5
    assert max(max(level.reads, default=0) for level in levels) <= 2048**2
    assert psutil.Process().memory_info().rss - before < MEMORY
    (pictures / "large-click.txt").write_text(f"{seconds:.2f} s from click to mask\n")
    take_picture(window, pictures / "large-zoomed-in.png")
    window.dock.controller.annotation.workspace.prompts.points.visible = False
    zoom_to(window, middle, zoom=0.5)
    take_picture(window, pictures / "large-less.png")
    window.viewer.reset_view()
    take_picture(window, pictures / "large-zoomed-out.png")


def zoom_to(window: Window, position: tuple[int, int], zoom: float) -> None:
    """Bring a pixel of the slide to the middle of the canvas."""
    window.viewer.scene.camera.center = window.viewer.layers["slide"].data_to_world(position)
    window.viewer.scene.camera.zoom = zoom
    window.settle()


def largest_cell() -> NDArray[np.bool_]:
    return np.bincount(TRUTH[TRUTH > 0]).argmax() == TRUTH


def overlap(
    box: tuple[int, ...], mask: NDArray[np.bool_], cell: NDArray[np.bool_], corner: tuple[int, int]
) -> float:
    """Return intersection over union of a mask and a cell of the tile at a corner of the slide."""
    found = {tuple(pixel) for pixel in (np.argwhere(mask) + box[:2]).tolist()}
    true = {tuple(pixel) for pixel in (np.argwhere(cell) + corner).tolist()}
    return len(found & true) / len(found | true)

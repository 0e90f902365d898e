from __future__ import annotations

import csv

import numpy as np
import pytest
from skimage.io import imread

from napari_sam3 import commands
from napari_sam3.commands import demo
from napari_sam3.io import read_image
from napari_sam3.samples import dividing_cells

FRAMES, ROWS, COLS = dividing_cells().image.shape


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run the demo once, with the real embedded model."""
    output = tmp_path_factory.mktemp("demo") / "made" / "here"
    assert commands.main(["demo", "--headless", "--output", str(output)]) == 0
    return output


def test_cells_of_the_demo_are_on_every_frame():
    labels = dividing_cells().labels
    centres = demo.cell_centres(dividing_cells()).round().astype(int)

    values = {labels[0, row, col] for row, col in centres}

    assert len(values - {0}) == demo.CELLS
    assert all(value in frame for value in values for frame in labels)


def test_demo_propagates_its_cells(folder):
    truth, labels = dividing_cells().labels, read_image(folder / "labels.tif")
    ious = []
    for number, centre in enumerate(demo.cell_centres(dividing_cells()), start=1):
        value = truth[(0, *centre.round().astype(int))]
        for mask, true in zip(labels == number, truth == value, strict=True):
            ious.append((mask & true).sum() / (mask | true).sum())

    assert labels.shape == (FRAMES, ROWS, COLS)
    assert np.mean(ious) > 0.7


def test_demo_measures_every_cell_on_every_frame(folder):
    with (folder / "measurements.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert list(rows[0]) == ["object", "frame", "score", "area", "row", "col"]
    assert {(int(row["object"]), int(row["frame"])) for row in rows} == {
        (number, frame) for number in (1, 2, 3) for frame in range(FRAMES)
    }
    assert all(0 <= float(row["score"]) <= 1 for row in rows)


def test_demo_draws_an_overview_with_coloured_outlines(folder):
    overview = imread(folder / "overview.png").astype(int)

    assert overview.shape == (3 * 2 * ROWS, 3 * 2 * COLS, 3)
    assert (np.ptp(overview, axis=-1) > 100).any()


def test_there_is_no_window_without_a_display(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    assert not demo.has_display()


def test_demo_opens_a_window_where_there_is_a_display(monkeypatch):
    shown = []
    monkeypatch.setattr("napari_sam3.commands.demo.has_display", lambda: True)
    monkeypatch.setattr("napari_sam3.gui.demo.show", shown.append)

    assert commands.main(["demo"]) == 0

    assert np.array_equal(shown, [demo.cell_centres(dividing_cells())])

from __future__ import annotations

from skimage.io import imread

from napari_sam3.engine import Engine
from napari_sam3.training.evaluation import measure
from napari_sam3.training.real.labelled_images import read_items
from napari_sam3.training.report import calibration, draw_worst, image_table
from tests.backends import DiskBackend
from tests.labelled_images import two_disks, write_item


def test_nuclei_of_the_data_science_bowl_are_reported_apart(tmp_path):
    write_item(tmp_path / "dsb_a", two_disks(), modality="fluorescence")
    write_item(tmp_path / "yeast", two_disks(), modality="phase contrast")

    results = [measure(Engine(DiskBackend()), item) for item in read_items(tmp_path, None)]

    table = image_table(results)
    lines = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert lines == ["dsb_a", "yeast", "DSB nuclei", "everything else", "all"]


def test_the_gain_of_the_best_hypothesis_is_reported(tmp_path):
    item = read_items(write_item(tmp_path / "data" / "a", two_disks()), None)[0]

    figures = calibration([measure(Engine(DiskBackend(radius=8.6)), item)])

    assert figures["loss"] > 0.1


def test_the_worst_trials_are_drawn(tmp_path):
    item = read_items(write_item(tmp_path / "data" / "a", two_disks()), None)[0]

    draw_worst([measure(Engine(DiskBackend(radius=4)), item)], 3, tmp_path / "worst.png")

    assert imread(tmp_path / "worst.png").shape == (320, 320, 3)


def test_a_drawing_of_no_trials_is_blank(tmp_path):
    draw_worst([], 3, tmp_path / "worst.png")

    assert imread(tmp_path / "worst.png").min() == 255

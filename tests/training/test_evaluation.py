from __future__ import annotations

import numpy as np
import pytest
from skimage.io import imsave

from napari_sam3.engine import Engine
from napari_sam3.training.evaluation import average_precision, measure
from napari_sam3.training.real.labelled_images import read_items
from tests.backends import DiskBackend
from tests.labelled_images import two_disks, write_item


def test_average_precision_counts_what_is_missed_and_invented():
    truth = two_disks().astype(np.int32)
    labels = np.where(truth == 3, 1, 0)
    labels[:8, 50:] = 5

    assert average_precision(truth, truth) == 1
    assert average_precision(labels, truth) == pytest.approx(1 / 3)
    assert average_precision(np.zeros_like(truth), truth) == 0


def test_a_perfect_model_reaches_one(tmp_path):
    folder = write_item(tmp_path / "data" / "disks", two_disks(), axes="YX")
    item = read_items(folder, None)[0]

    result = measure(Engine(DiskBackend()), item)

    assert result.scores["1 click"] == 1
    assert result.scores["5 clicks"] == 1
    assert result.scores["box"] > 0.8
    assert result.scores["everything"] == pytest.approx(0.5)  # a disk is below the threshold
    assert "propagation" not in result.scores


def test_inventing_an_object_costs_in_a_volume_alone(tmp_path):
    labels = np.stack([two_disks()] * 5)
    volume, movie = labels.copy(), labels.copy()
    volume[0][volume[0] == 3] = movie[4][movie[4] == 3] = 0
    write_item(tmp_path / "volume", volume, axes="ZYX")
    write_item(tmp_path / "movie", movie, axes="TYX")
    for name in ("volume", "movie"):
        image = np.stack([two_disks() > 0] * 5).astype(np.uint8) * 200
        imsave(tmp_path / name / "image.tif", image, check_contrast=False)

    results = [measure(Engine(DiskBackend()), item) for item in read_items(tmp_path, None)]

    scores = {result.item: result.scores for result in results}
    assert scores["movie"]["through time"] == 1
    assert scores["volume"]["through z"] == pytest.approx((0.75 + 1) / 2)


def test_partly_labelled_images_are_left_out_of_everything(tmp_path):
    folder = write_item(tmp_path / "data" / "smear_1", two_disks())

    item = read_items(folder, None, ["smear"])[0]

    assert "everything" not in measure(Engine(DiskBackend()), item).scores

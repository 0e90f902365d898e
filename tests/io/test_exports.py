from __future__ import annotations

import csv

import numpy as np
import pytest
from skimage.io import imread, imsave

from napari_sam3.engine import FramesError, StorageError
from napari_sam3.io import Measurements, paint, read_image, write_labels, write_overview
from tests.masks import mask_of

PIXELS = np.zeros((8, 8), bool)
PIXELS[2:5, 3:6] = True


def test_paint_writes_the_number_of_the_object_on_its_frame():
    labels = np.zeros((2, 8, 8), np.uint16)

    paint(labels, mask_of(PIXELS, 0.5, frame=1, object_id=7))

    assert np.array_equal(labels[1] == 7, PIXELS)
    assert not labels[0].any()


def test_paint_leaves_pixels_of_others_alone():
    labels = np.zeros((1, 8, 8), np.uint16)
    labels[0, 3, 4] = 1

    paint(labels, mask_of(PIXELS, 0.5, object_id=2))

    assert labels[0, 3, 4] == 1
    assert (labels == 2).sum() == PIXELS.sum() - 1


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_labels_of_few_frames_are_not_taken_for_colours(tmp_path, count):
    labels = np.arange(64 * count, dtype=np.uint16).reshape(count, 8, 8) * 200

    write_labels(tmp_path / "labels.tif", labels)

    read = read_image(tmp_path / "labels.tif")
    assert np.array_equal(read.reshape(labels.shape), labels)
    assert read.dtype == np.uint16


def test_a_mask_is_a_row_of_the_table(tmp_path):
    table = Measurements(tmp_path / "table.csv")

    table.add(mask_of(PIXELS, 0.87654, frame=4, object_id=2))

    (row,) = csv.DictReader(table.path.read_text().splitlines())
    assert row == {
        "object": "2",
        "frame": "4",
        "score": "0.877",
        "area": "9",
        "row": "3.00",
        "col": "4.00",
    }


def test_an_absent_object_has_no_position(tmp_path):
    table = Measurements(tmp_path / "table.csv")

    table.add(mask_of(np.zeros((8, 8), bool), 0.1))

    (row,) = csv.DictReader(table.path.read_text().splitlines())
    assert (row["area"], row["row"], row["col"]) == ("0", "", "")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_overview_shows_frames_side_by_side(tmp_path, count):
    image = np.random.default_rng(0).random((count, 8, 8))
    labels = np.tile(PIXELS.astype(np.uint16), (count, 1, 1))

    write_overview(tmp_path / "overview.png", image, labels, range(count))

    picture = imread(tmp_path / "overview.png")
    assert picture.shape[0] * picture.shape[1] >= count * 16 * 16
    assert picture.shape[2] == 3


def test_an_object_has_one_colour_on_all_frames_of_the_overview(tmp_path):
    labels = np.zeros((2, 8, 8), np.uint16)
    labels[0, 1:7, 0:3], labels[0, 1:7, 4:7], labels[1, 1:7, 4:7] = 1, 2, 2

    write_overview(tmp_path / "overview.png", np.zeros((2, 8, 8)), labels, (0, 1))

    picture = imread(tmp_path / "overview.png")
    assert np.array_equal(picture[2, 8], picture[2, 16 + 8])
    assert picture[2, 8].any()


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        write_labels(tmp_path / "nowhere" / "labels.tif", np.zeros((1, 8, 8), np.uint16))
    with pytest.raises(StorageError, match="cannot be written"):
        Measurements(tmp_path / "nowhere" / "table.csv")


def test_colours_of_a_picture_are_kept(tmp_path):
    imsave(tmp_path / "picture.png", np.full((8, 8, 3), 9, np.uint8), check_contrast=False)

    assert read_image(tmp_path / "picture.png").shape == (8, 8, 3)


def test_a_file_that_is_no_image_is_said(tmp_path):
    (tmp_path / "text.tif").write_text("no image")

    with pytest.raises(FramesError, match=r"text\.tif cannot be read"):
        read_image(tmp_path / "text.tif")

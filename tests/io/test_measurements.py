from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_sam3.engine import StorageError
from napari_sam3.io import Measurements
from tests.masks import mask_of

PIXELS = np.zeros((8, 8), bool)
PIXELS[2:5, 3:6] = True


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


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(StorageError, match="cannot be read or written"):
        Measurements(tmp_path / "nowhere" / "table.csv")

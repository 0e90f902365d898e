from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sam3.engine import StorageError
from napari_sam3.io import read_image, write_labels


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_labels_of_few_frames_are_not_taken_for_colours(tmp_path, count):
    labels = np.arange(64 * count, dtype=np.uint16).reshape(count, 8, 8) * 200

    write_labels(tmp_path / "labels.tif", labels)

    read = read_image(tmp_path / "labels.tif")
    assert np.array_equal(read.reshape(labels.shape), labels)
    assert read.dtype == np.uint16


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(StorageError, match="cannot be read or written"):
        write_labels(tmp_path / "nowhere" / "labels.tif", np.zeros((1, 8, 8), np.uint16))


def test_an_earlier_file_stays_where_a_new_file_cannot_be_written(tmp_path, monkeypatch):
    write_labels(tmp_path / "labels.tif", np.ones((8, 8), np.uint16))

    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(StorageError, match="full"):
        write_labels(tmp_path / "labels.tif", np.zeros((8, 8), np.uint16))

    assert read_image(tmp_path / "labels.tif").all()
    assert [path.name for path in tmp_path.iterdir()] == ["labels.tif"]

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

from napari_sam3.training.real.labelled_images import matching_file, read_items
from napari_sam3.values import FramesError
from tests.labelled_images import SHAPE, two_disks, write_item


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cell.tif", "cell.ome.tif", "a[1].png", "other.png", "other.tif"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("name", ["cell.tif", "cell.ome.tif", "other.png", "other.tif"])
def test_the_same_name_comes_first(folder, name):
    assert matching_file(Path(name), folder) == folder / name


def test_a_name_with_the_same_beginning_does_not_match(folder):
    assert matching_file(Path("cell.png"), folder) == folder / "cell.tif"
    assert matching_file(Path("cell.om.png"), folder) is None
    assert matching_file(Path("cel.tif"), folder) is None


def test_brackets_in_a_name_match_themselves(folder):
    assert matching_file(Path("a[1].tif"), folder) == folder / "a[1].png"
    assert matching_file(Path("a1.tif"), folder) is None


def test_images_and_labels_are_paired_by_name(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        imsave(tmp_path / folder / "a.png", two_disks().astype(np.uint8), check_contrast=False)
    imsave(tmp_path / "images" / "b.png", np.zeros(SHAPE, np.uint8), check_contrast=False)

    items = read_items(tmp_path / "images", tmp_path / "labels")

    assert [item.name for item in items] == ["a"]
    assert items[0].labels.shape == (1, *SHAPE)


def test_each_image_is_measured_on_its_own_labels(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name, count in (("cell.tif", 1), ("cell.ome.tif", 2), ("a[1].tif", 3)):
        labels = np.full(SHAPE, count, np.uint8)
        imsave(tmp_path / "images" / name, labels, check_contrast=False)
        imsave(tmp_path / "labels" / name, labels, check_contrast=False)

    items = read_items(tmp_path / "images", tmp_path / "labels")

    known = {item.name: int(item.labels.max()) for item in items}
    assert known == {"cell": 1, "cell.ome": 2, "a[1]": 3}


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FramesError, match="No images with ground truth"):
        read_items(tmp_path, None)


def test_labels_of_another_size_are_refused(tmp_path):
    folder = write_item(tmp_path / "data" / "a", two_disks())
    imsave(folder / "a" / "labels.tif", two_disks()[:40], check_contrast=False)

    with pytest.raises(FramesError, match="same pixels"):
        read_items(folder, None)


def test_a_broken_image_is_named(tmp_path):
    folder = write_item(tmp_path / "data" / "a", two_disks())
    (folder / "a" / "image.tif").write_bytes(b"nothing")

    with pytest.raises(FramesError, match=r"image\.tif cannot be read"):
        read_items(folder, None)

from __future__ import annotations

import numpy as np
import pytest
import zarr
from tifffile import TiffFile, imread

from napari_sam3.engine import StorageError
from napari_sam3.io import Geometry, LabelFile, open_image, paint
from tests.masks import mask_of

SHAPE = (3, 60, 70)


def square(frame, object_id, top, left, shape=SHAPE[1:]):
    facts = {"frame": frame, "object_id": object_id}
    return mask_of(np.ones((10, 10), bool), 0.9, corner=(top, left), shape=shape, **facts)


def read(path):
    return imread(path) if path.suffix == ".tif" else zarr.open_group(path, mode="r")["0"][:]


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_masks_are_painted_where_no_other_object_is(tmp_path, name):
    with LabelFile(tmp_path / name, SHAPE) as labels:
        labels.paint(square(2, 1, 20, 20))
        labels.paint(square(2, 2, 25, 25))

    labels = read(tmp_path / name)
    assert labels.shape == SHAPE
    assert not labels[:2].any()
    assert (np.count_nonzero(labels == 1), np.count_nonzero(labels == 2)) == (100, 75)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_a_single_frame_has_no_frame_axis(tmp_path, name):
    with LabelFile(tmp_path / name, (1, 60, 70)) as labels:
        labels.paint(square(0, 7, 20, 20))

    assert read(tmp_path / name).shape == (60, 70)


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_labels_of_a_large_frame_are_written_in_tiles(tmp_path, name):
    side = 3000
    with LabelFile(tmp_path / name, (1, side, side)) as labels:
        labels.paint(square(0, 7, 2990, 2985, (side, side)))

    labels = read(tmp_path / name)
    assert np.count_nonzero(labels == 7) == 100
    assert labels[2999, 2994] == 7
    if name.endswith(".tif"):
        with TiffFile(tmp_path / name) as tiff:
            assert tiff.pages[0].is_tiled


def test_zarr_labels_are_ome_zarr(tmp_path):
    with LabelFile(tmp_path / "labels.zarr", (1, 3000, 3000)) as labels:
        labels.paint(square(0, 7, 200, 200, (3000, 3000)))

    group = zarr.open_group(tmp_path / "labels.zarr", mode="r")
    metadata = group.attrs["ome"]
    assert "image-label" in metadata
    assert [level["path"] for level in metadata["multiscales"][0]["datasets"]] == ["0", "1"]
    assert group["1"][102, 102] == 7


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_more_objects_than_16_bits_hold_are_written(tmp_path, name):
    with LabelFile(tmp_path / name, SHAPE, highest=65_536) as labels:
        labels.paint(square(2, 1, 0, 0))
        labels.paint(square(2, 65_536, 20, 20))

    labels = read(tmp_path / name)
    assert labels.dtype == np.uint32
    assert set(np.unique(labels)) == {0, 1, 65_536}


def test_an_object_above_the_highest_is_refused_with_a_remedy(tmp_path):
    message = "up to 65535, and 65536 is higher: say how high"
    with (
        pytest.raises(StorageError, match=message),
        LabelFile(tmp_path / "labels.tif", SHAPE) as labels,
    ):
        labels.paint(square(2, 65_536, 20, 20))


def test_zarr_labels_lie_where_their_geometry_tells(tmp_path):
    units = ("second", "micrometer", "micrometer")
    geometry = Geometry("tyx", (2.0, 0.5, 0.25), (0.0, 10.0, 20.0), units)

    with LabelFile(tmp_path / "labels.zarr", SHAPE, geometry=geometry) as labels:
        labels.paint(square(0, 1, 20, 20))

    assert open_image(tmp_path / "labels.zarr").geometry == geometry


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_labels_from_before_stay_until_new_ones_are_whole(tmp_path, name):
    with LabelFile(tmp_path / name, SHAPE) as labels:
        labels.paint(square(0, 1, 20, 20))

    with pytest.raises(StorageError), LabelFile(tmp_path / name, SHAPE) as labels:
        labels.paint(square(0, 2, 55, 0))  # beyond the last row

    assert set(np.unique(read(tmp_path / name))) == {0, 1}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_labels_take_the_place_of_earlier_ones(tmp_path):
    for value in (1, 2):
        with LabelFile(tmp_path / "labels.zarr", SHAPE) as labels:
            labels.paint(square(0, value, 20, 20))

    assert set(np.unique(read(tmp_path / "labels.zarr"))) == {0, 2}


def test_an_image_is_never_replaced_by_labels(tmp_path):
    zarr.create_array(tmp_path / "image.zarr", data=np.zeros((9, 9)))

    with pytest.raises(StorageError, match="choose another name"):
        LabelFile(tmp_path / "image.zarr", SHAPE)

    assert (tmp_path / "image.zarr" / "zarr.json").exists()


def test_a_missing_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(StorageError, match="cannot be read or written"):
        LabelFile(tmp_path / "file" / "labels.tif", SHAPE)


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

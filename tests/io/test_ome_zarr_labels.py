from __future__ import annotations

import numpy as np
import pytest
import zarr
from napari.layers import Labels

from napari_sam3.engine import StorageError
from napari_sam3.io import open_image
from napari_sam3.io.ome_zarr_labels import write_labels_zarr


@pytest.fixture
def labels():
    made = np.zeros((2, 3000, 2100), np.int32)
    made[1, 2990:, 2090:] = 7
    return made


def test_saved_labels_are_opened_as_they_were(tmp_path, labels):
    path = tmp_path / "cells.zarr"

    meta = {"scale": (1, 0.5, 0.25), "axis_labels": ("T", "y", "x")}
    assert write_labels_zarr(str(path), labels, meta) == [str(path)]

    image = open_image(path)
    assert (image.axes, image.scale) == ("tyx", (1.0, 0.5, 0.25))
    np.testing.assert_array_equal(image.levels[0][:], labels)
    assert image.levels[1][1, 1499, 1049] == 7
    assert [one.name for one in tmp_path.iterdir()] == ["cells.zarr"]


def test_saved_labels_stay_where_they_were(tmp_path):
    units = ("um", "um", "um")
    layer = Labels(
        np.ones((2, 9, 9), int), scale=(2, 0.5, 0.25), translate=(5, -10, 20), units=units
    )

    write_labels_zarr(str(tmp_path / "cells.zarr"), layer.data, layer.as_layer_data_tuple()[1])

    image = open_image(tmp_path / "cells.zarr")
    assert (image.scale, image.translation) == ((2.0, 0.5, 0.25), (5.0, -10.0, 20.0))
    assert image.units == ("micrometer",) * 3


@pytest.mark.parametrize(
    ("units", "labelled", "axes"),
    [
        (("pixel",) * 2, (), "yx"),
        (("pixel",) * 3, ("-3", "-2", "-1"), "tyx"),
        (("second", "um", "um"), (), "tyx"),
        (("um",) * 3, (), "zyx"),
        (("um",) * 3, ("t", "y", "x"), "tyx"),
        (("pixel",) * 4, ("-4", "-3", "-2", "-1"), "tzyx"),
        (("pixel",) * 4, ("c", "z", "y", "x"), "czyx"),
        (("pixel",) * 5, (), "tczyx"),
    ],
)
def test_axes_without_clear_names_are_guessed(tmp_path, units, labelled, axes):
    meta = {"units": units, "axis_labels": labelled}

    write_labels_zarr(str(tmp_path / "cells.zarr"), np.ones((2,) * len(units), np.uint16), meta)

    assert open_image(tmp_path / "cells.zarr").axes == axes


def test_of_several_sizes_the_finest_is_saved(tmp_path, labels):
    sizes = [labels[1], labels[1, ::2, ::2]]

    write_labels_zarr(str(tmp_path / "cells.zarr"), sizes, {"multiscale": True})

    np.testing.assert_array_equal(open_image(tmp_path / "cells.zarr").levels[0][:], labels[1])


def test_labels_that_do_not_fit_are_refused_and_leave_nothing(tmp_path, labels):
    labels[0, 0, 0] = 70_000

    with pytest.raises(StorageError, match="relabel the layer first"):
        write_labels_zarr(str(tmp_path / "cells.zarr"), labels, {})

    assert list(tmp_path.iterdir()) == []


def test_an_image_is_not_replaced_by_saved_labels(tmp_path, labels):
    zarr.create_array(tmp_path / "image.zarr", data=np.zeros((9, 9)))

    with pytest.raises(StorageError, match="choose another name"):
        write_labels_zarr(str(tmp_path / "image.zarr"), labels, {})


@pytest.mark.parametrize(
    "way",
    [
        {"rotate": 30},
        {"shear": [0.2]},
        {"affine": [[1, 0, 0], [0.1, 1, 0], [0, 0, 1]]},
    ],
    ids=["rotated", "sheared", "affine"],
)
def test_what_is_lost_of_a_turned_layer_is_told(tmp_path, way):
    layer = Labels(np.ones((9, 9), int), **way)

    with pytest.warns(UserWarning, match=r"cells.zarr was saved without the rotation"):
        write_labels_zarr(str(tmp_path / "cells.zarr"), layer.data, layer.as_layer_data_tuple()[1])

    assert open_image(tmp_path / "cells.zarr").levels[0][:].all()

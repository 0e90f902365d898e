from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_sam3.io import Geometry
from napari_sam3.storage.label_pyramid import (
    LabelPyramid,
    describe,
    halved,
    level_sides,
    type_of_labels,
)
from napari_sam3.values import Box

GEOMETRY = Geometry("tyx", (1.0, 0.5, 0.25), (4.0, 10.0, 20.0), ("pixel", "µm", "micrometer"))


@pytest.fixture
def group(tmp_path):
    return zarr.open_group(tmp_path / "labels.zarr", mode="w")


def test_levels_are_halved_until_they_are_small():
    assert list(level_sides((20_000, 9_001))) == [
        (20_000, 9_001),
        (10_000, 4_501),
        (5_000, 2_251),
        (2_500, 1_126),
        (1_250, 563),
    ]
    assert list(level_sides((2047, 100))) == [(2047, 100)]


def test_a_single_pixel_is_seen_at_half_the_size():
    labels = np.zeros((5, 7), np.uint16)
    labels[4, 6], labels[1, 2] = 3, 5

    small = halved(labels)

    assert small.shape == (3, 4)
    assert (small[2, 3], small[0, 1]) == (3, 5)
    assert np.count_nonzero(small) == 2


def test_what_is_written_is_seen_at_every_level(group):
    pyramid = LabelPyramid.create(group, (2, 9000, 5001))

    pyramid.write((1,), Box(4101, 4995, 4108, 5001), np.full((7, 6), 9, np.uint16))

    assert [level.shape[1:] for level in pyramid.levels] == [
        (9000, 5001),
        (4500, 2501),
        (2250, 1251),
        (1125, 626),
    ]
    for step, level in enumerate(pyramid.levels):
        rows, cols = np.nonzero(level[1])
        assert (rows.min(), rows.max()) == (4101 >> step, 4107 >> step)
        assert (cols.min(), cols.max()) == (4995 >> step, 5000 >> step)
        assert not level[0].any()


def test_what_is_erased_is_gone_from_every_level(group):
    pyramid = LabelPyramid.create(group, (5000, 5000))
    box = Box(999, 1001, 1030, 1033)
    pyramid.write((), box, np.full((31, 32), 9, np.uint16))

    pyramid.write((), box, np.zeros((31, 32), np.uint16))

    assert not any(level[:].any() for level in pyramid.levels)


def test_neighbours_of_a_box_stay_at_every_level(group):
    pyramid = LabelPyramid.create(group, (5000, 5000))
    pyramid.write((), Box(100, 100, 101, 101), np.array([[7]], np.uint16))

    pyramid.write((), Box(101, 101, 103, 103), np.full((2, 2), 4, np.uint16))

    assert pyramid.levels[0][100, 100] == 7
    assert pyramid.levels[1][50, 50] == 7
    assert pyramid.levels[1][51, 51] == 4


def test_only_tiles_that_a_box_meets_are_on_disk(group, tmp_path):
    pyramid = LabelPyramid.create(group, (20_000, 20_000))

    pyramid.write((), Box(1000, 1000, 1040, 1040), np.ones((40, 40), np.uint16))

    files = [one for one in (tmp_path / "labels.zarr").rglob("c/*/*") if one.is_file()]
    assert len(files) == 4 + 4 + 1 + 1 + 1


def test_labels_are_described_as_ome_zarr(group):
    pyramid = LabelPyramid.create(group, (3, 4100, 4100), axes="tyx")

    describe(group, len(pyramid.levels), GEOMETRY)

    (multiscale,) = group.attrs["ome"]["multiscales"]
    assert multiscale["axes"] == [
        {"name": "t", "type": "time"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    assert group["2"].metadata.dimension_names == ("t", "y", "x")
    assert [one["path"] for one in multiscale["datasets"]] == ["0", "1", "2"]
    scale, translation = multiscale["datasets"][2]["coordinateTransformations"]
    assert scale["scale"] == [1.0, 2.0, 1.0]
    assert translation["translation"] == [4.0, 10.75, 20.375]


@pytest.mark.parametrize(("highest", "kind"), [(65_535, np.uint16), (65_536, np.uint32)])
def test_labels_take_32_bits_only_where_they_must(group, highest, kind):
    pyramid = LabelPyramid.create(group, (3000, 3000), type_of_labels(highest))

    pyramid.write((), Box(10, 10, 11, 11), np.array([[highest]], kind))

    assert [level.dtype for level in pyramid.levels] == [kind, kind]
    assert pyramid.read((), Box(10, 10, 11, 11)) == highest
    assert pyramid.levels[1][5, 5] == highest

from __future__ import annotations

import numpy as np
import pytest
from skimage.io import imread

from napari_sam3.io import write_overview

PIXELS = np.zeros((8, 8), bool)
PIXELS[2:5, 3:6] = True


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

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam3.engine.finding.refinement import refined
from tests.backends import ellipse


@pytest.fixture
def disk() -> np.ndarray:
    return ellipse((40, 40), (20, 20), (15, 15))


def corners(mask: np.ndarray) -> int:
    """Count pixels of the outline, which is shorter the smoother it is."""
    return int(np.count_nonzero(mask & ~ndimage.binary_erosion(mask)))


def test_level_zero_is_the_raw_mask(disk):
    assert refined(disk, 0) is disk


@pytest.mark.parametrize("smoothness", [1, 3, 5])
def test_a_smooth_disk_stays_as_it_is_nearly(disk, smoothness):
    smooth = refined(disk, smoothness)

    assert np.count_nonzero(smooth ^ disk) < 0.1 * np.count_nonzero(disk)


def test_a_higher_level_has_a_shorter_outline(disk):
    rough = disk & (np.random.default_rng(0).random(disk.shape) > 0.1)
    rough[:5, 18:22] = True  # a spike

    lengths = [corners(refined(rough, smoothness)) for smoothness in (0, 1, 5)]

    assert lengths[0] > lengths[1] > lengths[2]


def test_small_holes_are_filled_and_large_ones_stay(disk):
    pierced = disk & ~ellipse(disk.shape, (14, 14), (2, 2)) & ~ellipse(disk.shape, (24, 24), (6, 6))

    smooth = refined(pierced, 1)

    assert smooth[14, 14]
    assert not smooth[24, 24]


def test_a_hole_that_opens_to_the_outside_is_none(disk):
    disk[:, 20] = False

    assert not refined(disk, 1)[0, 20]


def test_small_islands_are_removed_and_large_ones_stay(disk):
    disk = np.pad(disk, (0, 20))
    disk[45:47, 45:47] = True
    disk[50:58, 10:20] = True

    smooth = refined(disk, 1)

    assert not smooth[44:48, 44:48].any()
    assert smooth[54, 15]


def test_a_thin_rod_does_not_vanish():
    rod = np.ones((3, 40), bool)

    assert np.count_nonzero(refined(rod, 5)) > 60


def test_a_single_pixel_does_not_vanish():
    assert refined(np.ones((1, 1), bool), 5).all()


def test_what_the_border_of_the_image_cuts_is_not_rounded_there():
    half = ellipse((15, 40), (0, 20), (15, 15))

    inside, cut = refined(half, 5), refined(half, 5, (True, False, False, False))

    assert not inside[0, 7]
    assert cut[0, 7]


def test_nothing_stays_nothing():
    assert not refined(np.zeros((4, 4), bool), 5).any()

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine.backends.clip.embeddings import MARGIN, SMALLEST_CROP, cut_crops
from napari_sam3.values.candidates import Candidates


def candidate(box: tuple[int, int, int, int], shape: tuple[int, int] = (100, 100)) -> Candidates:
    mask = np.ones((box[2] - box[0], box[3] - box[1]), bool)
    return Candidates(shape, np.array([box]), (mask,), np.ones(1))


def crop_of(image: np.ndarray, candidates: Candidates) -> np.ndarray:
    (crop,) = cut_crops(image, candidates, [0])
    return crop


def test_a_crop_is_a_square_somewhat_larger_than_its_candidate():
    image = np.zeros((100, 100, 3), np.float32)

    crop = crop_of(image, candidate((30, 40, 70, 60)))

    assert crop.shape == (round(MARGIN * 40),) * 2 + (3,)


def test_a_small_candidate_has_more_around_it():
    image = np.zeros((100, 100, 3), np.float32)

    crop = crop_of(image, candidate((50, 50, 53, 53)))

    assert crop.shape == (SMALLEST_CROP, SMALLEST_CROP, 3)


def test_what_surrounds_a_candidate_is_faded_to_its_mean_and_the_candidate_is_not():
    image = np.zeros((100, 100, 3), np.float32)
    image[40:60, 40:60] = 0.8
    image[:, 60:] = 1

    crop = crop_of(image, candidate((40, 40, 60, 60)))

    assert crop[13, 13, 0] == np.float32(0.8)
    around = image[37:63, 37:63].copy()
    around[3:23, 3:23] = np.nan
    mean = np.nanmean(around)
    assert crop[0, -1, 0] == pytest.approx((1 + mean) / 2, abs=1e-6)
    assert crop[0, 0, 0] == pytest.approx(mean / 2, abs=1e-6)


def test_the_crop_of_a_candidate_at_the_border_stays_inside():
    image = np.random.default_rng(0).random((100, 100, 3), np.float32)

    crop = crop_of(image, candidate((0, 90, 10, 100)))

    np.testing.assert_array_equal(crop[:10, -10:], image[:10, 90:])


def test_the_crop_of_a_candidate_that_fills_the_image_is_padded():
    image = np.random.default_rng(0).random((30, 50, 3), np.float32)

    crop = crop_of(image, candidate((0, 0, 30, 50), (30, 50)))

    assert crop.shape == (65, 65, 3)
    np.testing.assert_array_equal(crop[17:47, 7:57], image)


def test_the_image_is_left_as_it_is():
    image = np.random.default_rng(0).random((100, 100, 3), np.float32)
    before = image.copy()

    crop_of(image, candidate((30, 40, 70, 60)))

    np.testing.assert_array_equal(image, before)

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Exemplar, ModelError
from napari_sam3.engine.finding.exemplars import LARGEST_PICTURE, pictured


def exemplar(revision: str = "abc-float32") -> Exemplar:
    picture = np.zeros((9, 9, 3), np.uint8)
    return Exemplar({"look": np.ones(3, np.float32)}, "embedded", revision, picture, (2, 2, 6, 6))


def test_another_model_is_told_that_it_cannot_read_an_exemplar():
    with pytest.raises(ModelError, match="drawn with the model embedded, which facebook/sam3"):
        exemplar().check("facebook/sam3", "sam3-123-float32")


def test_the_same_model_reads_it_in_whatever_numbers_it_calculates():
    exemplar("abc-float32").check("embedded", "abc-bfloat16")


def test_a_negated_exemplar_is_the_same_object_not_meant():
    one = exemplar()

    negated = one.negated()

    assert (one.is_positive, negated.is_positive) == (True, False)
    assert negated.appearance is one.appearance


def test_a_picture_shows_an_object_in_its_surroundings():
    image = np.zeros((50, 60, 3), np.float32)
    image[20:30, 30:40] = 1

    picture, box = pictured(image, (29.5, 39.5, 19.5, 29.5))

    assert picture.shape == (22, 22, 3)
    row0, col0, row1, col1 = (round(side + 0.5) for side in box)
    assert picture.sum() == picture[row0:row1, col0:col1].sum() == 10 * 10 * 3 * 255


def test_a_picture_ends_where_the_image_ends():
    picture, box = pictured(np.ones((50, 60, 3), np.float32), (-0.5, 50.5, 9.5, 70))

    assert picture.shape[0] == 21
    assert box[0] == -0.5


def test_a_large_picture_is_thinned_out():
    picture, box = pictured(np.ones((900, 900, 3), np.float32), (200, 200, 700, 700))

    assert max(picture.shape) <= LARGEST_PICTURE
    assert box[2] - box[0] == 500 / 4

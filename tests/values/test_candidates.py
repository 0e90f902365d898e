from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Candidates, Exemplar, ModelError
from napari_sam3.values.candidates import THUMBNAIL_SIDE, cut_thumbnail


@pytest.fixture
def candidates() -> Candidates:
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [6, 0, 8, 3]])
    masks = (np.ones((4, 4), bool), np.eye(4, dtype=bool), np.ones((2, 3), bool))
    return Candidates((8, 8), boxes, masks, np.array([0.4, 0.9, 0.6]))


def test_better_candidate_is_on_top(candidates: Candidates) -> None:
    labels = candidates.labels(threshold=0)

    assert labels[0, 0] == 1
    assert labels[2, 2] == 2
    assert labels[2, 3] == 1
    assert labels[7, 2] == 3


def test_threshold_leaves_candidates_out_and_label_values_alone(candidates: Candidates) -> None:
    assert np.unique(candidates.labels(threshold=0.6)).tolist() == [0, 2, 3]
    assert not candidates.labels(threshold=0.95).any()


def test_no_candidates_are_empty_labels() -> None:
    nothing = Candidates((8, 8), np.zeros((0, 4), np.int64), (), np.zeros(0))

    assert len(nothing) == 0
    assert not nothing.labels().any()


def test_candidates_tell_their_sizes_and_what_reaches_the_border(candidates: Candidates) -> None:
    assert candidates.areas.tolist() == [16, 4, 6]
    assert candidates.touches_border.tolist() == [True, False, True]


def test_some_candidates_are_taken_in_a_new_order(candidates: Candidates) -> None:
    taken = candidates.taken([2, 0])

    assert taken.scores.tolist() == [0.6, 0.4]
    assert taken.boxes.tolist() == candidates.boxes[[2, 0]].tolist()
    assert [mask.shape for mask in taken.masks] == [(2, 3), (4, 4)]


def test_what_was_found_in_a_region_stands_behind_what_is_outside(candidates: Candidates) -> None:
    found = candidates.taken([1])

    together = found.replacing(candidates, region=(0, 0, 5, 5))

    assert together.scores.tolist() == [0.6, 0.9]
    assert together.boxes.tolist() == candidates.boxes[[2, 1]].tolist()
    assert [mask.shape for mask in together.masks] == [(2, 3), (4, 4)]
    assert together.tiles_searched == 2


def test_region_without_candidates_is_empty_afterwards(candidates: Candidates) -> None:
    nothing = candidates.taken([])

    assert nothing.replacing(candidates, region=(0, 0, 5, 5)).scores.tolist() == [0.6]
    assert len(nothing.replacing(nothing, region=(0, 0, 5, 5))) == 0


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

    picture, box = cut_thumbnail(image, (29.5, 39.5, 19.5, 29.5))

    assert picture.shape == (22, 22, 3)
    row0, col0, row1, col1 = (round(side + 0.5) for side in box)
    assert picture.sum() == picture[row0:row1, col0:col1].sum() == 10 * 10 * 3 * 255


def test_a_picture_ends_where_the_image_ends():
    picture, box = cut_thumbnail(np.ones((50, 60, 3), np.float32), (-0.5, 50.5, 9.5, 70))

    assert picture.shape[0] == 21
    assert box[0] == -0.5


def test_a_large_picture_is_thinned_out():
    picture, box = cut_thumbnail(np.ones((900, 900, 3), np.float32), (200, 200, 700, 700))

    assert max(picture.shape) <= THUMBNAIL_SIDE
    assert box[2] - box[0] == 500 / 4

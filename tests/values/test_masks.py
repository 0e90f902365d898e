from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import ObjectMask
from napari_sam3.values.masks import MaskPlace as Place
from napari_sam3.values.masks import named_hypotheses, overlap, shared_area, trimmed


def square(side: int) -> np.ndarray:
    mask = np.zeros((9, 9), bool)
    mask[:side, :side] = True
    return mask


def test_readings_are_named_by_size_and_ordered_by_score() -> None:
    hypotheses = named_hypotheses([square(2), square(8), square(5)], [0.9, 0.3, 0.6])

    assert [hypothesis.name for hypothesis in hypotheses] == ["sub-part", "part", "whole"]
    assert [hypothesis.score for hypothesis in hypotheses] == [0.9, 0.6, 0.3]


def test_single_reading_is_the_whole() -> None:
    assert named_hypotheses([square(2)], [0.5])[0].name == "whole"


def test_reading_stands_where_a_mask_does() -> None:
    (hypothesis,) = named_hypotheses([square(2)], [0.5])

    np.testing.assert_array_equal(np.asarray(hypothesis), square(2))
    assert np.asarray(hypothesis, dtype=np.uint8).sum() == 4


def test_area_counts_pixels() -> None:
    assert ObjectMask(0, 1, square(3), 0.5).area == 9


def test_mask_without_a_place_is_its_own_patch() -> None:
    mask = ObjectMask(0, 1, square(3), 0.5)

    assert mask.pixels is mask.patch
    assert (mask.shape, mask.box) == ((9, 9), (0, 0, 9, 9))


def test_patch_is_laid_out_where_it_lies() -> None:
    mask = ObjectMask(0, 1, np.ones((2, 3), bool), 0.5, place=Place(4, 5, (9, 9)))

    assert (mask.shape, mask.box, mask.area) == ((9, 9), (4, 5, 6, 8), 6)
    assert np.argwhere(mask.pixels).min(0).tolist() == [4, 5]
    assert np.argwhere(mask.pixels).max(0).tolist() == [5, 7]


def test_empty_space_around_a_mask_is_trimmed_away() -> None:
    pixels = np.zeros((9, 9), bool)
    pixels[2:5, 6:8] = True
    mask = ObjectMask(3, 1, pixels, 0.5)

    small = trimmed(trimmed(mask))

    assert (small.frame, small.box, small.patch.shape) == (3, (2, 6, 5, 8), (3, 2))
    np.testing.assert_array_equal(small.pixels, pixels)


def test_nothing_is_trimmed_to_nothing() -> None:
    small = trimmed(ObjectMask(0, 1, np.zeros((9, 9), bool), 0.5))

    assert (small.box, small.area, small.shape) == ((0, 0, 0, 0), 0, (9, 9))
    assert not small.pixels.any()


def test_pixels_that_two_masks_share_are_counted_where_they_lie() -> None:
    rng = np.random.default_rng(0)
    places = [
        (slice(3, 12), slice(0, 9)),
        (slice(8, 20), slice(5, 15)),
        (slice(15, 20), slice(0, 5)),
    ]
    parts = [
        (p, rng.random((p[0].stop - p[0].start, p[1].stop - p[1].start)) < 0.6) for p in places
    ]
    whole = [Place(rows.start, cols.start, (24, 24)).spread(mask) for (rows, cols), mask in parts]

    for one in range(3):
        for other in range(3):
            shared = np.count_nonzero(whole[one] & whole[other])
            assert shared_area(parts[one], parts[other]) == shared


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [((0, 4), (0, 4), 1.0), ((0, 4), (2, 6), 1 / 3), ((0, 4), (4, 8), 0.0), ((3, 3), (3, 3), 0.0)],
)
def test_overlap_is_what_is_shared_of_both(one, other, share):
    parts = [
        ((slice(0, 2), slice(*cols)), np.ones((2, cols[1] - cols[0]), bool))
        for cols in (one, other)
    ]

    assert overlap(*parts) == pytest.approx(share)

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.values import Box, Mask, named_hypotheses
from tests.masks import mask_of


def square(side: int) -> np.ndarray:
    mask = np.zeros((9, 9), bool)
    mask[:side, :side] = True
    return mask


def test_hypotheses_are_named_by_size_and_ordered_by_score() -> None:
    hypotheses = named_hypotheses(
        [mask_of(square(2), 0.9), mask_of(square(8), 0.3), mask_of(square(5), 0.6)]
    )

    assert [hypothesis.name for hypothesis in hypotheses] == ["sub-part", "part", "whole"]
    assert [hypothesis.score for hypothesis in hypotheses] == [0.9, 0.6, 0.3]


def test_single_hypothesis_is_the_whole() -> None:
    assert named_hypotheses([mask_of(square(2), 0.5)])[0].name == "whole"


def test_mask_stands_where_an_array_does() -> None:
    (hypothesis,) = named_hypotheses([mask_of(square(2), 0.5)])

    np.testing.assert_array_equal(np.asarray(hypothesis), square(2))
    assert np.asarray(hypothesis, dtype=np.uint8).sum() == 4


def test_area_counts_pixels() -> None:
    assert mask_of(square(3), 0.5).area == 9


def test_mask_of_a_whole_frame_is_its_own_crop() -> None:
    mask = mask_of(square(3), 0.5)

    assert mask.pixels is mask.crop
    assert (mask.shape, mask.box) == ((9, 9), (0, 0, 9, 9))


def test_crop_is_laid_out_where_it_lies() -> None:
    mask = mask_of(np.ones((2, 3), bool), 0.5, corner=(4, 5), shape=(9, 9))

    assert (mask.shape, mask.box, mask.area) == ((9, 9), (4, 5, 6, 8), 6)
    assert np.argwhere(mask.pixels).min(0).tolist() == [4, 5]
    assert np.argwhere(mask.pixels).max(0).tolist() == [5, 7]


def test_empty_space_around_a_mask_is_trimmed_away() -> None:
    pixels = np.zeros((9, 9), bool)
    pixels[2:5, 6:8] = True
    mask = mask_of(pixels, 0.5, frame=3)

    small = mask.trimmed().trimmed()

    assert (small.frame, small.box, small.crop.shape) == (3, (2, 6, 5, 8), (3, 2))
    np.testing.assert_array_equal(small.pixels, pixels)


def test_nothing_is_trimmed_to_nothing() -> None:
    small = mask_of(np.zeros((9, 9), bool), 0.5).trimmed()

    assert (small.box, small.area, small.shape) == ((0, 0, 0, 0), 0, (9, 9))
    assert not small.pixels.any()


def random_masks() -> list[Mask]:
    rng = np.random.default_rng(0)
    boxes = [Box(3, 0, 12, 9), Box(8, 5, 20, 15), Box(15, 0, 20, 5)]
    return [Mask(rng.random(box.shape) < 0.6, box, (24, 24)) for box in boxes]


def test_pixels_that_two_masks_share_are_counted_where_they_lie() -> None:
    masks = random_masks()

    for first in masks:
        for second in masks:
            shared = np.count_nonzero(first.pixels & second.pixels)
            assert first.shared_area(second) == shared


def test_pixels_within_another_box_have_its_shape() -> None:
    masks = random_masks()

    for first in masks:
        for second in masks:
            np.testing.assert_array_equal(first.within(second.box), first.pixels[second.box.slices])


def test_points_are_on_a_mask_or_not() -> None:
    mask = mask_of(np.ones((2, 3), bool), corner=(4, 5), shape=(9, 9))

    assert mask.contains(np.array([[4.4, 5.0], [5.0, 7.0]]))
    assert not mask.contains(np.array([[4.0, 5.0], [6.0, 7.0]]))


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [((0, 4), (0, 4), 1.0), ((0, 4), (2, 6), 1 / 3), ((0, 4), (4, 8), 0.0), ((3, 3), (3, 3), 0.0)],
)
def test_iou_is_what_is_shared_of_both(first, second, share):
    masks = [
        mask_of(np.ones((2, end - start), bool), corner=(0, start), shape=(9, 9))
        for start, end in (first, second)
    ]

    assert masks[0].iou(masks[1]) == pytest.approx(share)

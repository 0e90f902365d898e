from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training.annotator import (
    click_inside,
    correcting_click,
    innermost_point,
    jittered_box,
    rough_copy,
    sample_objects,
    with_next_click,
)
from napari_sam3.values import Prompts
from tests.backends import ellipse
from tests.labelled_images import SHAPE, two_disks


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def disk(row: int, col: int, radius: int) -> np.ndarray:
    rows, cols = np.indices((112, 112))
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def test_clicks_are_inside(rng):
    mask = disk(50, 30, 8)

    points = [click_inside(rng, mask) for _ in range(20)]

    assert all(mask[int(row), int(col)] for row, col in points)


def test_a_missing_part_is_clicked_to_add_it(rng):
    click = correcting_click(rng, disk(50, 30, 8), disk(50, 30, 8) | disk(80, 80, 12))

    assert click is not None
    (row, col), adds = click
    assert adds
    assert disk(80, 80, 12)[int(row), int(col)]


def test_a_surplus_part_is_clicked_to_remove_it(rng):
    click = correcting_click(rng, disk(50, 30, 8) | disk(80, 80, 12), disk(50, 30, 8))

    assert click is not None
    assert not click[1]


def test_a_perfect_mask_is_not_corrected(rng):
    assert correcting_click(rng, disk(50, 30, 8), disk(50, 30, 8)) is None


def test_a_copy_without_roughness_is_exact(rng):
    mask = disk(50, 50, 20)

    assert (rough_copy(rng, mask, 0) == mask).all()


def test_a_rough_copy_still_resembles_the_mask(rng):
    mask = disk(50, 50, 20)

    copies = [rough_copy(rng, mask, 1) for _ in range(10)]

    ious = [(mask & copy).sum() / (mask | copy).sum() for copy in copies]
    assert 0.4 < np.mean(ious) < 0.95


def test_the_same_objects_are_drawn_in_every_call():
    labels = np.arange(100).reshape(10, 10).repeat(6, 0).repeat(6, 1)

    first, again = (sample_objects(labels, max_count=8, min_area=30) for _ in range(2))

    assert first == again
    assert len(set(first)) == 8
    assert 0 not in first


def test_small_objects_are_not_drawn():
    labels = two_disks()
    labels[0, :5] = 9

    assert sample_objects(labels, max_count=8, min_area=30) == [3, 7]


def test_the_first_click_is_in_the_middle():
    assert innermost_point(two_disks() == 3) == (20, 20)


def test_the_next_click_goes_into_the_largest_error():
    truth, mask = ellipse(SHAPE, (30, 30), (9, 9)), ellipse(SHAPE, (30, 50), (5, 5))
    prompts = Prompts([(10, 10)])

    missed = with_next_click(prompts, mask, truth)
    surplus = with_next_click(prompts, mask | truth, truth)

    assert missed.points[1].tolist() == [30, 30]
    assert missed.positive.tolist() == [True, True]
    assert surplus.points[1].tolist() == [30, 50]
    assert surplus.positive.tolist() == [True, False]


def test_a_right_mask_gets_no_click():
    truth = ellipse(SHAPE, (30, 30), (9, 9))

    assert len(with_next_click(Prompts([(30, 30)]), truth, truth).points) == 1


def test_a_jittered_box_is_off_by_a_twentieth():
    mask = ellipse(SHAPE, (30, 30), (10, 20))

    box = jittered_box(mask, np.random.default_rng(3))

    exact = np.array([19.5, 9.5, 40.5, 50.5])
    assert np.all(np.abs(box - exact) <= [1.05, 2.05, 1.05, 2.05])
    assert not np.allclose(box, exact)

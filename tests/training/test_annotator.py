from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training.annotator import click_inside, correcting_click, rough_copy


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


def test_a_perfect_answer_is_not_corrected(rng):
    assert correcting_click(rng, disk(50, 30, 8), disk(50, 30, 8)) is None


def test_a_copy_without_roughness_is_exact(rng):
    mask = disk(50, 50, 20)

    assert (rough_copy(rng, mask, 0) == mask).all()


def test_a_rough_copy_still_resembles_the_mask(rng):
    mask = disk(50, 50, 20)

    copies = [rough_copy(rng, mask, 1) for _ in range(10)]

    overlaps = [(mask & copy).sum() / (mask | copy).sum() for copy in copies]
    assert 0.4 < np.mean(overlaps) < 0.95

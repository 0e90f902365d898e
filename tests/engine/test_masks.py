from __future__ import annotations

import numpy as np

from napari_sam3.engine import ObjectMask
from napari_sam3.engine.masks import named_readings


def square(side: int) -> np.ndarray:
    mask = np.zeros((9, 9), bool)
    mask[:side, :side] = True
    return mask


def test_readings_are_named_by_size_and_ordered_by_score() -> None:
    readings = named_readings([square(2), square(8), square(5)], [0.9, 0.3, 0.6])

    assert [reading.name for reading in readings] == ["sub-part", "part", "whole"]
    assert [reading.score for reading in readings] == [0.9, 0.6, 0.3]


def test_single_reading_is_the_whole() -> None:
    assert named_readings([square(2)], [0.5])[0].name == "whole"


def test_reading_stands_where_a_mask_does() -> None:
    (reading,) = named_readings([square(2)], [0.5])

    np.testing.assert_array_equal(np.asarray(reading), square(2))
    assert np.asarray(reading, dtype=np.uint8).sum() == 4


def test_area_counts_pixels() -> None:
    assert ObjectMask(0, 1, square(3), 0.5).area == 9

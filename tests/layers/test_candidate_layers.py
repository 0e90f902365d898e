"""Layers of candidates: what counts is a label, what does not is a thin outline."""

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray

from napari_sam3.layers.candidate_layers import LARGEST, ConceptSheet, FaintOutlines
from napari_sam3.layers.label_store import LabelStore

PLANE = (32, 32)
WHOLE = (0, 0, 32, 32)


@pytest.fixture
def image() -> Image:
    return Image(np.zeros((3, *PLANE)), name="cells", scale=(2, 0.5, 0.5), units="um")


@pytest.fixture
def sheet(image: Image, tmp_path: Path) -> ConceptSheet:
    return ConceptSheet(image, LabelStore(tmp_path), 1, "nucleus")


def labels(*squares: tuple[int, int, int]) -> NDArray[np.int32]:
    """Draw squares of 4 x 4 pixels: row, col and value."""
    drawn = np.zeros(PLANE, np.int32)
    for row, col, value in squares:
        drawn[row : row + 4, col : col + 4] = value
    return drawn


def test_candidates_of_a_frame_are_drawn_on_it_alone(sheet: ConceptSheet) -> None:
    sheet.draw((1,), labels((2, 2, 1), (10, 10, 2)), WHOLE)

    np.testing.assert_array_equal(sheet.layer.data[1], labels((2, 2, 1), (10, 10, 2)))
    assert not np.any(sheet.layer.data[0])


def test_candidates_replace_the_ones_before(sheet: ConceptSheet) -> None:
    sheet.draw((1,), labels((2, 2, 1), (10, 10, 2)), WHOLE)

    sheet.draw((1,), labels((10, 10, 2)), WHOLE)

    np.testing.assert_array_equal(sheet.layer.data[1], labels((10, 10, 2)))


def test_what_was_painted_by_hand_stays(sheet: ConceptSheet) -> None:
    sheet.draw((1,), labels((2, 2, 1)), WHOLE)
    sheet.layer.data[1, 20, 20] = 7
    sheet.layer.data[1, 2, 2] = 0

    for drawn in (labels(), labels((2, 2, 1), (20, 20, 7)), labels((2, 2, 1))):
        sheet.draw((1,), drawn, WHOLE)
        assert sheet.layer.data[1, 20, 20] == 7
        assert sheet.layer.data[1, 2, 2] == 0


def test_numbers_too_large_for_the_store_begin_anew(sheet: ConceptSheet) -> None:
    sheet.draw((0,), labels((2, 2, LARGEST), (10, 10, LARGEST + 1)), WHOLE)

    assert sheet.layer.data[0, 2, 2] == LARGEST
    assert sheet.layer.data[0, 10, 10] == 1


def test_concept_layer_lies_exactly_on_the_image(sheet: ConceptSheet, image: Image) -> None:
    np.testing.assert_allclose(sheet.layer.scale, image.scale)
    assert sheet.layer.units == image.units
    assert sheet.layer.name == "nucleus"


def test_score_and_area_show_where_the_mouse_points(sheet: ConceptSheet) -> None:
    viewer = ViewerModel()
    viewer.add_layer(sheet.layer)
    viewer.dims.set_current_step(0, 1)
    sheet.draw((1,), labels((2, 2, 1), (10, 10, 2)), WHOLE)

    sheet.show_features([{"index": 2, "score": 0.75, "area": 16}])

    status = sheet.layer.get_status(sheet.layer.data_to_world((1, 11, 11)), world=True)
    assert "score: 0.75" in status["coordinates"]


def test_outlines_show_one_frame_at_a_time(image: Image) -> None:
    faint = FaintOutlines(image)
    faint.draw((0,), labels((2, 2, 1)))

    faint.draw((2,), labels((10, 10, 4)))

    assert not np.any(faint.layer.data[0])
    np.testing.assert_array_equal(faint.layer.data[2], labels((10, 10, 4)))
    assert faint.layer.contour == 1


def test_cleared_outlines_show_nothing(image: Image) -> None:
    faint = FaintOutlines(image)
    faint.draw((2,), labels((10, 10, 4)))

    faint.clear()

    assert not np.any(faint.layer.data[2])


def test_outlines_of_a_single_image(tmp_path: Path) -> None:
    faint = FaintOutlines(Image(np.zeros(PLANE)))

    faint.draw((), labels((10, 10, 4)))

    np.testing.assert_array_equal(faint.layer.data[:], labels((10, 10, 4)))

"""Layers of candidates: what counts is a label, what does not is a thin outline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray

from napari_sam3.layers.candidate_layers import LARGEST, ConceptSheet, FaintOutlines
from napari_sam3.storage.label_store import LabelStore
from tests.layers.results import seen

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


def outlines(*squares: tuple[int, int, int]) -> NDArray[np.int32]:
    """Draw the outermost pixels of such squares."""
    drawn = labels(*squares)
    for row, col, _ in squares:
        drawn[row + 1 : row + 3, col + 1 : col + 3] = 0
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
    np.testing.assert_array_equal(faint.layer.data[2], outlines((10, 10, 4)))


def test_candidates_that_touch_have_outlines_of_their_own(image: Image) -> None:
    faint = FaintOutlines(image)

    faint.draw((2,), labels((10, 10, 4), (10, 14, 5)))

    np.testing.assert_array_equal(faint.layer.data[2], outlines((10, 10, 4), (10, 14, 5)))


def test_cleared_outlines_show_nothing(image: Image) -> None:
    faint = FaintOutlines(image)
    faint.draw((2,), labels((10, 10, 4)))

    faint.clear()

    assert not np.any(faint.layer.data[2])


def test_outlines_of_a_single_image(tmp_path: Path) -> None:
    faint = FaintOutlines(Image(np.zeros(PLANE)))

    faint.draw((), labels((10, 10, 4)))

    np.testing.assert_array_equal(faint.layer.data[:], outlines((10, 10, 4)))


def test_outlines_are_seen_in_3d(image: Image) -> None:
    viewer, faint = ViewerModel(ndisplay=3), FaintOutlines(image)
    viewer.add_layer(faint.layer)
    assert not seen(faint.layer).any()

    faint.draw((1,), labels((10, 10, 4)))

    np.testing.assert_array_equal(seen(faint.layer), [labels(), outlines((10, 10, 4)), labels()])


def test_outlines_are_seen_from_the_side(image: Image) -> None:
    viewer, faint = ViewerModel(), FaintOutlines(image)
    viewer.add_layer(faint.layer)
    faint.draw((1,), labels((10, 10, 4)))

    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 12)

    np.testing.assert_array_equal(seen(faint.layer)[1], outlines((10, 10, 4))[12])
    assert not seen(faint.layer)[[0, 2]].any()


def test_outlines_of_a_stack_of_large_frames_are_empty_in_every_view() -> None:
    viewer, large = ViewerModel(), np.broadcast_to(np.uint8(0), (3, 2304, 2304))
    faint = FaintOutlines(Image(large))
    viewer.add_layer(faint.layer)

    for ndisplay, order in ((2, (0, 1, 2)), (3, (0, 1, 2)), (2, (1, 0, 2)), (2, (2, 1, 0))):
        viewer.dims.ndisplay, viewer.dims.order = ndisplay, order
        viewer.dims.set_current_step(order[0], 2)

        assert not seen(faint.layer).any()


def test_frames_of_a_moving_volume_are_outlined_one_by_one() -> None:
    faint = FaintOutlines(Image(np.zeros((2, 3, *PLANE))))

    faint.draw((1, 2), labels((10, 10, 4)))

    drawn = np.asarray(faint.layer.data)
    np.testing.assert_array_equal(drawn[1, 2], outlines((10, 10, 4)))
    assert np.count_nonzero(drawn) == 12

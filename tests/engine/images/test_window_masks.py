from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Prompts, Reading
from napari_sam3.engine.images.window_masks import enlarged, mask_in, on_frame, prompts_in
from napari_sam3.engine.images.windows import Window
from napari_sam3.engine.masks import Place
from tests.backends import ellipse

SHAPE = (501, 403)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_mask_comes_back_from_a_window_as_it_was(level: int) -> None:
    drawn = ellipse(SHAPE, (230, 200), (90, 60))
    window = Window(level, 64 >> level, 48 >> level, 400 >> level, 304 >> level)

    seen = mask_in(Reading("whole", drawn, 1.0), window)
    back = on_frame(Reading("whole", seen, 1.0), window, SHAPE)

    assert back.shape == SHAPE
    assert overlap(back.pixels, drawn) > (1 if level == 0 else 0.95) - 1e-9


def test_mask_at_the_far_corner_of_a_coarse_level_stays_on_the_frame() -> None:
    window = Window(2, 100, 80, 26, 21)
    reading = Reading("whole", np.ones((26, 21), bool), 1.0)

    placed = on_frame(reading, window, SHAPE)

    assert placed.box == (400, 320, *SHAPE)


def test_patch_is_seen_like_the_mask_it_is_of() -> None:
    drawn = ellipse(SHAPE, (230, 200), (90, 60))
    patch = Reading("whole", drawn[133:331, 129:271], 1.0, Place(133, 129, SHAPE))
    window = Window(1, 50, 60, 100, 90)

    seen = mask_in(patch, window)

    np.testing.assert_array_equal(seen, mask_in(Reading("whole", drawn, 1.0), window))


def test_thin_line_does_not_vanish_on_a_coarse_level() -> None:
    line = np.zeros(SHAPE, bool)
    line[100:300, 200] = True

    assert mask_in(Reading("whole", line, 1.0), Window(3, 0, 0, 63, 51)).any()


def test_mask_outside_a_window_is_not_seen() -> None:
    patch = Reading("whole", np.ones((9, 9), bool), 1.0, Place(400, 300, SHAPE))

    assert not mask_in(patch, Window(0, 0, 0, 100, 100)).any()


def test_enlarged_outline_is_smooth() -> None:
    disk = ellipse((40, 40), (19.5, 19.5), (15, 15))

    drawn = enlarged(disk, 8)

    assert overlap(drawn, ellipse((320, 320), (159.5, 159.5), (122, 122))) > 0.97


def test_nothing_enlarged_is_nothing() -> None:
    assert enlarged(np.zeros((0, 0), bool), 4).shape == (0, 0)


def test_prompts_are_said_in_pixels_of_the_window() -> None:
    outline = ellipse(SHAPE, (230, 200), (90, 60))
    prompts = Prompts([(101.5, 203.5)], [True], [(99.5, 199.5, 139.5, 239.5)], outline)

    said = prompts_in(prompts, Window(2, 10, 20, 90, 80))

    np.testing.assert_allclose(said.points, [[15, 30.5]])
    np.testing.assert_allclose(said.boxes, [[14.5, 29.5, 24.5, 39.5]])
    assert said.mask is not None
    assert said.mask.shape == (90, 80)


def test_points_off_the_window_are_not_said() -> None:
    prompts = Prompts([(50, 50), (300, 300)], [True, False])

    said = prompts_in(prompts, Window(0, 0, 0, 100, 100))

    assert said.points.tolist() == [[50, 50]]
    assert said.positive.tolist() == [True]

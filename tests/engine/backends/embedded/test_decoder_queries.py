from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine.backends.embedded import decoder_queries as prompt_maps


def test_without_prompts_all_maps_are_zero():
    maps = prompt_maps.render()

    assert maps.shape == (7, 56, 56)
    assert maps.dtype == np.float32
    assert not maps.any()


@pytest.mark.parametrize(("inside", "narrow"), [(True, 0), (False, 2)])
def test_a_click_is_a_spot_around_its_pixel(inside, narrow):
    maps = prompt_maps.render([(40.5, 20.5)], [inside])

    assert np.unravel_index(maps[narrow].argmax(), (56, 56)) == (20, 10)
    assert maps[narrow, 20, 10] == 1
    assert maps[narrow + 1].sum() > maps[narrow].sum()
    assert not np.delete(maps, (narrow, narrow + 1), axis=0).any()


def test_clicks_beyond_the_crop_leave_no_spot():
    maps = prompt_maps.render([(300, -200)], [True])

    assert maps.max() < 1e-6


def test_a_box_covers_the_cells_between_its_edges():
    maps = prompt_maps.render(box=(19.5, 39.5, 59.5, 79.5))

    rows, cols = np.nonzero(maps[4] > 0.5)
    assert (rows.min(), rows.max()) == (10, 29)
    assert (cols.min(), cols.max()) == (20, 39)


def test_previous_logits_are_squeezed():
    maps = prompt_maps.render(previous_logits=np.full((56, 56), 100.0))

    assert np.allclose(maps[5], 1)


def test_a_mask_says_no_where_it_is_empty():
    mask = np.zeros((112, 112), bool)
    mask[:50, :30] = True

    drawn = prompt_maps.render(mask=mask)[6]

    assert (drawn[:25, :15] == 1).all()
    assert (drawn[25:] == -1).all()


def test_a_further_click_is_drawn_beside_the_others():
    maps = prompt_maps.render([(10.5, 10.5)], [True])

    prompt_maps.add_click(maps, (90.5, 90.5), True)

    assert maps[0, 5, 5] == 1
    assert maps[0, 45, 45] == 1


def test_every_click_needs_its_sign():
    with pytest.raises(ValueError, match="shorter"):
        prompt_maps.render([(1, 1), (2, 2)], [True])

from __future__ import annotations

import numpy as np

from tests.layers.results import HERE, THERE, ResultBench, disk, seen
from tests.masks import mask_of


def test_a_new_layer_paints_its_object(bench: ResultBench) -> None:
    bench.results.write(HERE, 2, mask_of(disk(20, 30)))

    assert bench.labels[0].selected_label == 2


def test_painted_pixels_stay_when_the_model_writes_again(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    layer = bench.labels[0]
    layer.brush_size = 6
    layer.paint((*HERE, 45, 60), 1)
    layer.paint((*HERE, 20, 30), 0)
    painted = bench.results.mask(HERE, 1).pixels & ~disk(20, 30)
    erased = disk(20, 30) & ~bench.results.mask(HERE, 1).pixels

    bench.results.write(HERE, 1, mask_of(disk(22, 32)))

    expected = (disk(22, 32) & ~erased) | painted
    assert painted.any()
    assert erased.any()
    np.testing.assert_array_equal(bench.results.mask(HERE, 1).pixels, expected)
    np.testing.assert_array_equal(seen(layer), expected * 1)


def test_filled_and_directly_set_pixels_are_hand_edits(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    layer = bench.labels[0]
    layer.data_setitem(tuple(np.array([index]) for index in (*HERE, 50, 70)), 1)
    layer.fill((*HERE, 20, 30), 0)

    bench.results.write(HERE, 1, mask_of(disk(20, 30)))

    assert bench.results.mask(HERE, 1).pixels.sum() == 1
    assert bench.results.mask(HERE, 1).pixels[50, 70]


def test_a_stroke_undone_in_napari_is_no_hand_edit(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    layer = bench.labels[0]
    layer.paint((*HERE, 45, 60), 1)
    assert bench.results.is_edited(HERE, 1)

    layer.undo()

    assert not bench.results.is_edited(HERE, 1)


def test_edited_frames_are_known(bench: ResultBench) -> None:
    for frame_index in (HERE, THERE, (2, 2)):
        bench.results.write(frame_index, 1, mask_of(disk(20, 30)))
    bench.labels[0].paint((*HERE, 45, 60), 1)
    bench.viewer.dims.set_current_step((0, 1), (2, 0))
    bench.labels[0].paint((2, 0, 5, 5), 1)

    assert bench.results.edited({1, 2}) == {(HERE, 1), ((2, 0), 1)}


def test_an_object_painted_before_the_model_saw_it_stays(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    bench.viewer.dims.set_current_step((0, 1), THERE)
    bench.labels[0].paint((*THERE, 45, 60), 1)
    by_hand = bench.results.mask(THERE, 1).pixels

    bench.results.write(THERE, 1, mask_of(disk(20, 30)))

    np.testing.assert_array_equal(bench.results.mask(THERE, 1).pixels, disk(20, 30) | by_hand)


def test_erasing_takes_the_pixels_of_the_model_only(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    bench.labels[0].paint((*HERE, 45, 60), 1)
    by_hand = bench.results.mask(HERE, 1).pixels & ~disk(20, 30)

    bench.results.erase(HERE, 1)

    np.testing.assert_array_equal(bench.results.mask(HERE, 1).pixels, by_hand)


def test_erasing_what_was_never_written_changes_nothing(bench: ResultBench) -> None:
    bench.results.erase(HERE, 1)

    assert bench.labels == []
    assert not bench.results.mask(HERE, 1).pixels.any()
    assert not bench.results.is_edited(HERE, 1)

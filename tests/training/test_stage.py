from dataclasses import replace

import numpy as np

from napari_sam3.training.movies import identity
from napari_sam3.training.scenes import Scene
from napari_sam3.training.stage import set_up

LABELS = np.repeat(np.arange(1, 9, dtype=np.int32), 64).reshape(8, 64).repeat(8, 0)
FIRST = Scene("blob", 4, LABELS, np.zeros_like(LABELS))


def brightness(seed, scene):
    level = set_up(np.random.default_rng(seed), scene).level
    return np.array([level[number == LABELS].mean() for number in range(1, 9)])


def test_objects_are_about_as_bright_on_the_next_frame():
    second = replace(FIRST, source=identity(LABELS.shape))

    ratios = np.array([brightness(seed, second) / brightness(seed, FIRST) for seed in range(20)])

    unchanged = (ratios == 1).all(1)
    assert 4 <= unchanged.sum() <= 16
    assert np.abs(np.log(ratios[~unchanged])).max() < 1.6


def test_a_first_frame_is_the_same_every_time():
    np.testing.assert_array_equal(brightness(3, FIRST), brightness(3, FIRST))

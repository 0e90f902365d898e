from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam3.training.synthetic import shapes
from napari_sam3.training.synthetic.scenes import colony, draw_scene, paste, tissue


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("seed", range(12))
def test_a_scene_has_numbered_objects(seed):
    scene = draw_scene(np.random.default_rng(seed), 128)

    assert scene.labels.shape == scene.nested.shape == (128, 128)
    assert 1 <= scene.labels.max() <= 250


@pytest.mark.parametrize("seed", range(12))
def test_nested_objects_lie_inside_objects(seed):
    scene = draw_scene(np.random.default_rng(seed), 128)

    assert (scene.labels[scene.nested > 0] > 0).all()


def test_the_same_seed_draws_the_same_scene():
    first, second = (draw_scene(np.random.default_rng(3), 128) for _ in range(2))

    assert (first.labels == second.labels).all()


def test_objects_are_drawn_beneath_earlier_objects():
    labels = np.zeros((20, 20), np.int32)
    paste(labels, np.ones((9, 9), bool), (8, 8), 1, 0.0)

    is_drawn = paste(labels, np.ones((9, 9), bool), (8, 12), 2, 0.9)

    assert is_drawn
    assert (labels == 1).sum() == 81


def test_objects_that_would_be_hidden_are_not_drawn():
    labels = np.ones((20, 20), np.int32)

    assert not paste(labels, np.ones((9, 9), bool), (8, 8), 2, 0.5)


@pytest.mark.parametrize("centre", [(-30, 5), (5, 60), (-3, -3), (19, 19)])
def test_objects_may_reach_beyond_the_image(centre):
    labels = np.zeros((20, 20), np.int32)

    is_drawn = paste(labels, np.ones((9, 9), bool), centre, 1, 0.5)

    assert is_drawn == labels.any()


def test_a_tissue_fills_the_plane(rng):
    labels = tissue(rng, 128, 12, 0.1, 0)

    assert (labels > 0).all()
    assert len(np.unique(labels)) > 10


def test_a_colony_is_made_of_many_rods(rng):
    labels = colony(rng, 128, 8)

    assert len(np.unique(labels)) > 10


def test_shapes_lie_in_the_middle_of_their_patch(rng):
    patches = [
        shapes.blob(rng, 10),
        shapes.rod(rng, 5, 30, 0.3),
        shapes.adherent(rng, 12, 0.2),
        shapes.budding(rng, 10),
        shapes.lobed(rng, 12),
    ]

    for patch in patches:
        assert patch.any()
        assert not patch[0].any()
        assert all(side % 2 == 1 for side in patch.shape)


def test_a_thread_is_a_long_thin_component():
    threads = [shapes.thread(np.random.default_rng(seed), 2.5, 60) for seed in range(8)]

    for thread in threads:
        assert ndimage.label(thread, np.ones((3, 3)))[1] == 1
        assert thread.sum() > 100
        assert ndimage.distance_transform_edt(np.pad(thread, 1)).max() < 5
    assert max(max(thread.shape) for thread in threads) > 40

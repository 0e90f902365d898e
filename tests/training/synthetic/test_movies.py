from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam3.training.synthetic.movies import Change, next_scene, shrunk, with_ghosts, with_haze
from napari_sam3.training.synthetic.scenes import Scene

STILL = Change(0, 0, 0, 0, 0, 0, 0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def scene() -> Scene:
    """Two squares, number 1 at the top and number 2 below."""
    labels = np.zeros((96, 96), np.int32)
    labels[20:36, 30:46] = 1
    labels[60:80, 50:70] = 2
    return Scene("blob", 9, labels, np.zeros_like(labels))


def test_nothing_changes_in_a_still(rng, scene):
    after = next_scene(rng, scene, STILL)

    assert (after.labels == scene.labels).all()


def test_moved_objects_keep_number_and_size(rng, scene):
    after = next_scene(rng, scene, replace(STILL, travel=0.4))

    for number in (1, 2):
        before, now = (s.labels == number for s in (scene, after))
        assert (before != now).any()
        assert now.sum() == pytest.approx(before.sum(), rel=0.1)


def test_pixels_know_where_they_came_from(rng, scene):
    after = next_scene(rng, scene, replace(STILL, travel=0.4))

    row, col = np.round(after.source[:, after.labels == 1]).astype(int)
    assert (scene.labels[row, col] == 1).all()


def test_objects_vanish(rng, scene):
    after = next_scene(rng, scene, replace(STILL, vanishing=1))

    assert not after.labels.any()


def test_both_halves_of_a_divided_object_stay(rng, scene):
    after = next_scene(rng, scene, replace(STILL, dividing=1))

    assert set(np.unique(after.labels)) == {0, 1, 2, 3, 4}
    assert (after.labels > 0).sum() == pytest.approx((scene.labels > 0).sum(), rel=0.05)


def test_a_tissue_moves_as_a_whole(rng):
    labels = 1 + np.indices((96, 96)).sum(0) // 24
    tissue = Scene("tissue", 12, labels.astype(np.int32), np.zeros((96, 96), np.int32))

    after = next_scene(rng, tissue, replace(STILL, drift=6))

    assert (after.labels != tissue.labels).any()
    assert (after.labels > 0).all()


def test_objects_that_end_on_the_next_slice_were_small_before(scene):
    after = replace(scene, labels=np.where(scene.labels == 2, 2, 0))

    before = [shrunk(np.random.default_rng(seed), scene, after).labels for seed in range(8)]

    assert min((labels == 1).sum() for labels in before) < 0.6 * (scene.labels == 1).sum()
    assert all((labels[scene.labels == 2] == 2).all() for labels in before)


def test_neighbours_grow_into_a_cell_that_ends(rng):
    labels = 1 + np.indices((96, 96))[1] // 32
    tissue = Scene("tissue", 16, labels.astype(np.int32), np.zeros((96, 96), np.int32))
    after = replace(tissue, labels=np.where(labels == 2, 3, labels))

    before = [shrunk(np.random.default_rng(seed), tissue, after).labels for seed in range(8)]

    assert any((own == 2).sum() < 0.8 * (labels == 2).sum() for own in before)
    assert all((own > 0).all() for own in before)


def test_new_objects_come_into_focus_where_objects_were(scene):
    change = replace(STILL, vanishing=1, slicing=True)

    after = [next_scene(np.random.default_rng(seed), scene, change) for seed in range(8)]

    assert any(slice_.labels.any() for slice_ in after)
    assert not any(np.isin(slice_.labels, (1, 2)).any() for slice_ in after)


def test_objects_out_of_focus_leave_a_faint_blur(rng, scene):
    dark = np.zeros((3, 96, 96), np.float32)
    bright = dark + (scene.labels > 0).astype(np.float32)
    gone = next_scene(rng, scene, replace(STILL, vanishing=1))

    after = with_ghosts(rng, (bright, dark), (scene, gone))

    assert 0 < after[:, 25:30, 35:40].mean() < 0.4


def test_objects_above_a_slice_shine_through_where_they_are_hidden(scene):
    widest = np.repeat((scene.labels > 0).astype(np.float32)[None], 3, 0)
    gone = replace(scene, labels=np.where(scene.labels == 2, 2, 0))
    slice_ = np.repeat((gone.labels > 0).astype(np.float32)[None], 3, 0)

    images = [with_haze(np.random.default_rng(s), slice_, gone, (widest, scene)) for s in range(8)]

    glow = [image[:, 24:32, 34:42].mean() for image in images]
    assert max(glow) > 0.3
    assert max(glow) < 0.9
    assert all(np.allclose(image[:, 85:, 5:20], 0) for image in images)

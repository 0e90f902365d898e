"""Triplets of scenes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_sam3.training.synthetic.movies import Change, identity_source
from napari_sam3.training.synthetic.scenes import Scene
from napari_sam3.training.synthetic.triplets import ending_slices, time_frames, z_slices

CALM = Change(0.1, 2, 0.04, 0.06, 0.1, 0, 0)
SLICES = Change(0.03, 1, 0.1, 0.1, 0.03, 0.2, 0, slicing=True)


@pytest.fixture
def scene() -> Scene:
    """Nine discs of a radius of 20 pixels."""
    rows, cols = np.indices((256, 256))
    labels = np.zeros((256, 256), np.int32)
    for number in range(9):
        row, col = 50 + 75 * (number // 3), 50 + 75 * (number % 3)
        labels[(rows - row) ** 2 + (cols - col) ** 2 < 400] = number + 1
    return Scene("blob", 20.0, labels, np.zeros_like(labels))


@pytest.mark.parametrize("seed", range(6))
def test_objects_keep_their_numbers_through_time(scene, seed):
    frames = time_frames(np.random.default_rng(seed), scene, CALM)

    assert [set(np.unique(frame.labels)) for frame in frames] == [set(range(10))] * 3


def test_texture_comes_from_the_first_frame(scene):
    pushed = replace(scene, source=identity_source(scene.labels.shape) + 3)
    rng = np.random.default_rng(3)

    first, previous, current = time_frames(rng, pushed, CALM)

    assert np.array_equal(first.source, identity_source(scene.labels.shape))
    for frame in (previous, current):
        inside = ndimage.binary_erosion(frame.labels == 5, iterations=3)
        labels = ndimage.map_coordinates(first.labels, frame.source, order=0)[inside]
        assert np.mean(labels == 5) > 0.95


@pytest.mark.parametrize("seed", range(12))
def test_sections_are_never_larger_than_the_widest(scene, seed):
    frames = z_slices(np.random.default_rng(seed), scene, replace(SLICES, growth=0, bending=0))

    widest = np.bincount(scene.labels.ravel(), minlength=10)[1:]
    for frame in frames:
        assert (np.bincount(frame.labels.ravel(), minlength=10)[1:] <= widest * 1.15).all()


def test_some_sections_shrink_and_some_objects_end(scene):
    ends, shrinks = 0, 0
    for seed in range(30):
        _, previous, current = z_slices(np.random.default_rng(seed), scene, SLICES)
        areas = [
            np.bincount(frame.labels.ravel(), minlength=10)[1:] for frame in (previous, current)
        ]
        ends += np.count_nonzero((areas[0] > 0) & (areas[1] == 0))
        shrinks += np.count_nonzero((areas[1] > 0) & (areas[1] < areas[0] * 0.9))
    assert ends > 5
    assert shrinks > 30


def test_in_a_tissue_neighbours_grow_where_cells_end():
    cells = np.arange(256)[:, None] // 32 * 8 + np.arange(256) // 32 + 1
    tissue = Scene("tissue", 16.0, cells.astype(np.int32), np.zeros((256, 256), np.int32))

    for seed in range(8):
        frames = z_slices(np.random.default_rng(seed), tissue, SLICES)
        assert all((frame.labels > 0).mean() > 0.9 for frame in frames if frame.labels.any())


def test_many_objects_end_in_ending_slices(scene):
    gone = 0
    for seed in range(10):
        _, previous, current = ending_slices(np.random.default_rng(seed), scene, SLICES)
        gone += len(np.setdiff1d(previous.labels, current.labels))
    assert gone > 5

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.benchmarks.movies import back_and_forth, enlarged, fitted, points_inside
from napari_sam3.samples import dividing_cells


def test_movie_shows_the_cells_it_is_clicked_on(task):
    outside = np.median(task.movie)

    assert task.movie.shape == (3, 128, 128)
    assert task.clicks.shape == (3, 3, 2)
    assert all(task.movie[0][tuple(point)] > outside for point in task.objects)


def test_movie_plays_backward_before_it_plays_forward_again():
    order = back_and_forth(60)

    assert order[:3] == [0, 1, 2]
    assert order[28:31] == [28, 29, 28]
    assert order[57:] == [1, 0, 1]


@pytest.mark.parametrize("side", [100, 256, 700])
def test_frames_are_cut_or_mirrored(side):
    image = fitted(np.arange(256 * 256, dtype=np.uint16).reshape(256, 256), (side, side))

    assert image.shape == (side, side)
    assert image[0, 1] == 1


def test_larger_frames_continue_the_sample():
    sample = enlarged(dividing_cells(), 512, 2)

    assert sample.image.shape == sample.labels.shape == (2, 512, 512)
    assert np.array_equal(sample.image[:, :256, :256], dividing_cells().image[:2])


def test_points_lie_on_objects():
    labels = dividing_cells().labels[0]

    points = points_inside(labels, 20)

    assert (labels[tuple(points.T)] > 0).all()

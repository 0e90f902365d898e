"""Three frames of one stack, invented or real."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.io import imsave
from tifffile import imwrite

from napari_sam3.training.real.real_images import images_in
from napari_sam3.training.triplets import RealTriplets, synthetic_triplet


@pytest.mark.parametrize("seed", range(6))
def test_an_invented_trio_has_three_frames_of_six_planes(seed):
    made = synthetic_triplet(np.random.default_rng(seed))

    assert made.shape == (3, 6, 256, 256)
    assert made.dtype == np.uint8
    assert made[0, :3].any()


@pytest.fixture
def folder(tmp_path):
    """A still of a square, and a movie in which it moves two pixels a frame."""
    for name in ("still", "movie"):
        for kind in ("images", "labels"):
            (tmp_path / name / kind).mkdir(parents=True)
    labels = np.zeros((12, 128, 128), np.uint16)
    for frame in range(12):
        labels[frame, 40:70, 20 + 2 * frame : 50 + 2 * frame] = 7
    images = (labels > 0).astype(np.uint8) * 200
    imwrite(tmp_path / "movie" / "images" / "a.tif", images)
    imwrite(tmp_path / "movie" / "labels" / "a.tif", labels)
    imsave(tmp_path / "still" / "images" / "b.png", images[0], check_contrast=False)
    imsave(
        tmp_path / "still" / "labels" / "b.png", labels[0].astype(np.uint8), check_contrast=False
    )
    return tmp_path


def test_stacks_are_drawn_oftener_than_stills(folder):
    make = RealTriplets(images_in(folder))

    assert make.shares == pytest.approx([8 / 9, 1 / 9])


def test_a_trio_of_a_movie_goes_one_way(folder):
    make = RealTriplets(images_in(folder / "movie"))

    for seed in range(20):
        triplet = make(np.random.default_rng(seed))
        cols = [np.nonzero(frame[3])[1].mean() for frame in triplet if frame[3].any()]
        steps = np.diff(cols)
        assert (steps > -0.5).all() or (steps < 0.5).all()
        assert steps.any()


def test_a_still_is_bent_for_its_next_frames(folder):
    make = RealTriplets(images_in(folder / "still"))

    triplets = [make(np.random.default_rng(seed)) for seed in range(10)]

    assert all(triplet.shape == (3, 6, 256, 256) for triplet in triplets)
    assert any((triplet[0, 3] != triplet[2, 3]).any() for triplet in triplets)
    assert any((triplet[0] == triplet[1]).all() for triplet in triplets)

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training.prompt_samples import VIEW, draw_sample, draw_view, fixed_view
from napari_sam3.training.shards import synthetic_pair


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def pair() -> np.ndarray:
    """A bright square that moves six pixels to the right."""
    pair = np.zeros((2, 6, 256, 256), np.uint8)
    for frame, shift in zip(pair, (0, 6), strict=True):
        frame[:4, 110:140, 110 + shift : 140 + shift] = np.array([200, 200, 200, 5])[:, None, None]
    return pair


def test_a_synthetic_pair_has_two_frames_of_six_planes(rng):
    made = synthetic_pair(rng)

    assert made.shape == (2, 6, 256, 256)
    assert made.dtype == np.uint8
    assert made[:, 3].any()


def test_pictures_and_labels_are_cut_and_turned_together(rng, pair):
    views = [draw_view(rng, pair) for _ in range(30)]

    shown = [view for view in views if (view.objects[0] == 5).any()]

    assert len(shown) >= 15  # the closest cuts may miss the one object
    for view in shown:
        inside = view.objects[0] == 5
        assert view.now.shape == (3, VIEW, VIEW)
        apart = np.abs(view.now[:, inside].mean() - view.now[:, ~inside].mean())
        assert apart > 0.2 * np.ptp(view.now)  # however dark it is exposed


def test_a_fixed_view_is_the_middle(pair):
    view = fixed_view(pair)

    assert (view.objects[1][78:108, 78:108] == 5).all()
    assert (view.objects[0][78:108, 84:114] == 5).all()


def test_the_crop_holds_the_target_and_a_prompt(rng, pair):
    view = fixed_view(pair)

    samples = [draw_sample(rng, view, following=0) for _ in range(20)]

    assert all(sample.target.sum() == 900 for sample in samples)
    assert all(sample.maps.any() for sample in samples)
    assert not any(sample.remembered.any() for sample in samples)


def test_a_followed_object_is_remembered_where_it_was(rng, pair):
    view = fixed_view(pair)

    sample = draw_sample(rng, view, following=1)

    assert sample.asking == "follow"
    row, col = sample.origin
    rows, cols = np.nonzero(sample.remembered > 0.5)
    assert rows.mean() * 4 + 1.5 + row == pytest.approx(92.5, abs=6)
    assert cols.mean() * 4 + 1.5 + col == pytest.approx(92.5, abs=6)
    assert sample.target.sum() == 900


def test_a_vanished_object_has_an_empty_target(rng, pair):
    pair[1] = 0

    sample = draw_sample(rng, fixed_view(pair), following=1)

    assert not sample.target.any()


def test_objects_longer_than_the_crop_are_not_asked_for(rng, pair):
    pair[:, 3] = 0
    pair[:, 3, 60:200, 100:130] = 5

    assert draw_sample(rng, fixed_view(pair), following=0) is None


def test_origins_are_multiples_of_four(rng, pair):
    samples = [draw_sample(rng, fixed_view(pair), following=0.5) for _ in range(20)]

    assert all(corner % 4 == 0 for sample in samples for corner in sample.origin)

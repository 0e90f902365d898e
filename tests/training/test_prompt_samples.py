from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training.prompt_samples import VIEW, draw_sample, draw_view, fixed_view


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


def test_images_and_labels_are_cut_and_turned_together(rng, pair):
    views = [draw_view(rng, pair) for _ in range(30)]

    shown = [view for view in views if (view.objects[0] == 5).any()]

    assert len(shown) >= 15  # the smallest cuts may miss the object
    for view in shown:
        inside = view.objects[0] == 5
        assert view.current.shape == (3, VIEW, VIEW)
        apart = np.abs(view.current[:, inside].mean() - view.current[:, ~inside].mean())
        assert apart > 0.2 * np.ptp(view.current)  # however dark the image is


def test_a_fixed_view_is_the_middle(pair):
    view = fixed_view(pair)

    assert (view.objects[1][78:108, 78:108] == 5).all()
    assert (view.objects[0][78:108, 84:114] == 5).all()


def test_the_crop_holds_the_target_and_a_prompt(rng, pair):
    view = fixed_view(pair)

    samples = [draw_sample(rng, view, propagated_share=0) for _ in range(20)]

    assert all(sample.target.sum() == 900 for sample in samples)
    assert all(sample.prompt_planes.any() for sample in samples)
    assert not any(sample.memory_mask.any() for sample in samples)


def test_the_memory_of_a_propagated_object_shows_where_it_was(rng, pair):
    view = fixed_view(pair)

    sample = draw_sample(rng, view, propagated_share=1)

    assert sample.kind == "propagate"
    row, col = sample.origin
    rows, cols = np.nonzero(sample.memory_mask > 0.5)
    assert rows.mean() * 4 + 1.5 + row == pytest.approx(92.5, abs=6)
    assert cols.mean() * 4 + 1.5 + col == pytest.approx(92.5, abs=6)
    assert sample.target.sum() == 900


def test_a_vanished_object_has_an_empty_target(rng, pair):
    pair[1] = 0

    sample = draw_sample(rng, fixed_view(pair), propagated_share=1)

    assert not sample.target.any()


def test_objects_longer_than_the_crop_are_not_prompted(rng, pair):
    pair[:, 3] = 0
    pair[:, 3, 60:200, 100:130] = 5

    assert draw_sample(rng, fixed_view(pair), propagated_share=0) is None


def test_origins_are_multiples_of_four(rng, pair):
    samples = [draw_sample(rng, fixed_view(pair), propagated_share=0.5) for _ in range(20)]

    assert all(corner % 4 == 0 for sample in samples for corner in sample.origin)

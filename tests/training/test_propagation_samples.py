"""Objects that a follower is asked about."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training import propagation_samples as samples
from napari_sam3.training.prompt_samples import VIEW
from napari_sam3.training.propagation_samples import draw_propagated, draw_view, fixed_view


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def triplet() -> np.ndarray:
    """A bright square that moves six pixels to the right on each frame."""
    triplet = np.zeros((3, 6, 256, 256), np.uint8)
    for frame, shift in zip(triplet, (0, 6, 12), strict=True):
        frame[:4, 110:140, 110 + shift : 140 + shift] = np.array([200, 200, 200, 5])[:, None, None]
    return triplet


def place(mask: np.ndarray, origin: tuple[int, int]) -> tuple[float, float]:
    rows, cols = np.nonzero(mask)
    return rows.mean() + origin[0], cols.mean() + origin[1]


def test_masks_lie_where_the_object_is(rng, triplet, monkeypatch):
    monkeypatch.setattr(samples, "REDRAWN", 0)

    for one in draw_propagated(rng, fixed_view(triplet), 8):
        first, before = one.origins
        assert place(one.outlined, first) == pytest.approx((92.5, 92.5), abs=4)
        assert place(one.targets[0], first) == pytest.approx((92.5, 98.5))
        assert place(one.before, before) == pytest.approx((92.5, 98.5), abs=6)
        assert place(one.targets[1], before) == pytest.approx((92.5, 104.5))
        assert one.is_near


def test_outlines_of_another_habit_are_so_on_all_frames(rng, triplet, monkeypatch):
    monkeypatch.setattr(samples, "REDRAWN", 1)
    monkeypatch.setattr(samples, "HABITS", (0.3, 0.3))

    for one in draw_propagated(rng, fixed_view(triplet), 8):
        assert all(1100 < target.sum() < 1500 for target in one.targets)


def test_what_is_gone_has_an_empty_target(rng, triplet):
    triplet[2] = 0

    assert not any(one.targets[1].any() for one in draw_propagated(rng, fixed_view(triplet), 8))


def test_what_leaves_is_chosen_oftener(rng, triplet):
    triplet[:, :4, 20:50, 60:90] = np.array([200, 200, 200, 9])[:, None, None]
    triplet[2, :, 110:140] = 0
    view = fixed_view(triplet)

    found = draw_propagated(rng, view, 300)

    leaving = np.mean([not one.targets[1].any() for one in found])
    assert 0.5 < leaving < 0.8  # a half by chance, and three tenths of the rest


def test_an_object_that_is_not_on_the_frame_before_is_not_followed(rng, triplet):
    triplet[1] = 0

    assert draw_propagated(rng, fixed_view(triplet), 4) == []


def test_what_jumps_is_not_sought_from_the_first_frame(rng, triplet):
    triplet[1:] = np.roll(triplet[1:], 40, axis=3)

    assert not any(one.is_near for one in draw_propagated(rng, fixed_view(triplet), 4))


def test_all_frames_are_cut_and_turned_together(rng, triplet):
    for _ in range(20):
        view = draw_view(rng, triplet)
        assert len(view.pictures) == len(view.labels) == 3
        for picture, labels in zip(view.pictures, view.labels, strict=True):
            inside = labels == 5
            assert picture.shape == (3, VIEW, VIEW)
            if inside.any() and not inside.all():
                apart = np.abs(picture[:, inside].mean() - picture[:, ~inside].mean())
                assert apart > 0.2 * np.ptp(picture)

"""Objects that are propagated in training."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training import propagation_samples
from napari_sam3.training.prompt_samples import VIEW
from napari_sam3.training.propagation_samples import draw_propagation_samples, draw_view, fixed_view


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


def centre(mask: np.ndarray, origin: tuple[int, int]) -> tuple[float, float]:
    rows, cols = np.nonzero(mask)
    return rows.mean() + origin[0], cols.mean() + origin[1]


def test_masks_lie_where_the_object_is(rng, triplet, monkeypatch):
    monkeypatch.setattr(propagation_samples, "OFFSET_SHARE", 0)

    for sample in draw_propagation_samples(rng, fixed_view(triplet), 8):
        first, previous = sample.origins
        assert centre(sample.first_mask, first) == pytest.approx((92.5, 92.5), abs=4)
        assert centre(sample.targets[0], first) == pytest.approx((92.5, 98.5))
        assert centre(sample.previous_mask, previous) == pytest.approx((92.5, 98.5), abs=6)
        assert centre(sample.targets[1], previous) == pytest.approx((92.5, 104.5))
        assert sample.is_near


def test_outlines_are_offset_on_all_frames(rng, triplet, monkeypatch):
    monkeypatch.setattr(propagation_samples, "OFFSET_SHARE", 1)
    monkeypatch.setattr(propagation_samples, "OFFSETS", (0.3, 0.3))

    for sample in draw_propagation_samples(rng, fixed_view(triplet), 8):
        assert all(1100 < target.sum() < 1500 for target in sample.targets)


def test_an_object_that_is_gone_has_an_empty_target(rng, triplet):
    triplet[2] = 0

    assert not any(
        sample.targets[1].any() for sample in draw_propagation_samples(rng, fixed_view(triplet), 8)
    )


def test_objects_that_leave_are_drawn_more_often(rng, triplet):
    triplet[:, :4, 20:50, 60:90] = np.array([200, 200, 200, 9])[:, None, None]
    triplet[2, :, 110:140] = 0
    view = fixed_view(triplet)

    drawn = draw_propagation_samples(rng, view, 300)

    leaving = np.mean([not sample.targets[1].any() for sample in drawn])
    assert 0.5 < leaving < 0.8  # a half by chance, and three tenths of the rest


def test_an_object_that_is_not_on_the_previous_frame_is_not_propagated(rng, triplet):
    triplet[1] = 0

    assert draw_propagation_samples(rng, fixed_view(triplet), 4) == []


def test_objects_that_jump_are_not_near(rng, triplet):
    triplet[1:] = np.roll(triplet[1:], 40, axis=3)

    assert not any(
        sample.is_near for sample in draw_propagation_samples(rng, fixed_view(triplet), 4)
    )


def test_all_frames_are_cut_and_turned_together(rng, triplet):
    for _ in range(20):
        view = draw_view(rng, triplet)
        assert len(view.images) == len(view.labels) == 3
        for image, labels in zip(view.images, view.labels, strict=True):
            inside = labels == 5
            assert image.shape == (3, VIEW, VIEW)
            if inside.any() and not inside.all():
                apart = np.abs(image[:, inside].mean() - image[:, ~inside].mean())
                assert apart > 0.2 * np.ptp(image)

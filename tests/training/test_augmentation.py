from __future__ import annotations

import numpy as np

from napari_sam3.training.augmentation import augmented


def test_all_frames_have_the_same_contrast_limits():
    frame = np.random.default_rng(0).random((3, 32, 32), dtype=np.float32)

    for seed in range(20):
        first, second = augmented(np.random.default_rng(seed), [frame, frame])
        assert np.abs(first.mean() - second.mean()) < 0.1


def test_images_stay_in_range():
    frame = np.random.default_rng(0).random((3, 32, 32), dtype=np.float32) * 3 - 1

    for seed in range(20):
        (image,) = augmented(np.random.default_rng(seed), [frame])
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1


def test_some_stacks_are_dark():
    frame = np.linspace(0, 1, 3 * 32 * 32, dtype=np.float32).reshape(3, 32, 32)

    brightest = [augmented(np.random.default_rng(seed), [frame])[0].max() for seed in range(60)]

    assert min(brightest) < 0.5
    assert max(brightest) == 1

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training.shards import synthetic_pair, synthetic_triplet


def test_a_synthetic_pair_has_two_frames_of_six_planes():
    made = synthetic_pair(np.random.default_rng(0))

    assert made.shape == (2, 6, 256, 256)
    assert made.dtype == np.uint8
    assert made[:, 3].any()


@pytest.mark.parametrize("seed", range(6))
def test_a_synthetic_triplet_has_three_frames_of_six_planes(seed):
    made = synthetic_triplet(np.random.default_rng(seed))

    assert made.shape == (3, 6, 256, 256)
    assert made.dtype == np.uint8
    assert made[0, :3].any()

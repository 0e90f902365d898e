from __future__ import annotations

import numpy as np

from napari_sam3.benchmarks.growth import endless


def test_growth_draws_frames_when_they_are_read():
    frames = endless(1000, 64)

    assert len(frames) == 1000
    assert np.array_equal(frames.read(0), frames.read(58))

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.benchmarks.engine_speed import (
    QUICK,
    TimedBackend,
    measure_memory,
    measure_speed,
)
from tests.backends import DiskBackend


def test_every_frame_is_encoded_once():
    backend = DiskBackend()

    measure_speed(backend, 256, QUICK)

    assert backend.encoded == QUICK.steps


def test_own_share_is_a_part_of_a_click():
    speed = measure_speed(DiskBackend(), 256, QUICK)

    assert 0 < speed.own <= speed.click <= speed.click_p95


def test_memory_is_measured_after_the_requested_frames():
    figures = measure_memory(DiskBackend(), (1, 70))

    assert [figure.frames for figure in figures] == [1, 70]
    assert all(figure.rss > 10 for figure in figures)


@pytest.mark.parametrize("side", [2, 8])
def test_timed_backend_passes_calls_on_and_times_them(side):
    backend = TimedBackend(DiskBackend())

    embedding = backend.encode(np.zeros((side, side, 3), np.float32))

    assert embedding.grey.shape == (side, side)
    assert len(backend.spent["encode"]) == 1
    assert backend.total == backend.spent["encode"][0] >= 0

import json

import numpy as np
import pytest

from napari_sam3 import cli
from napari_sam3.benchmark import QUICK, enlarged, measure_memory, measure_speed, points_inside
from napari_sam3.samples import dividing_cells
from napari_sam3.stopwatch import TimedBackend
from tests.backends import DiskBackend


def test_benchmark_writes_its_figures(tmp_path, capsys):
    file = tmp_path / "figures.json"

    assert cli.main(["benchmark", "--quick", "--device", "cpu", "--json", str(file)]) == 0

    assert "| 256 x 256 |" in capsys.readouterr().out
    figures = json.loads(file.read_text())
    assert figures["speed"][0]["encode"] > 0
    assert [row["frames"] for row in figures["memory"]] == list(QUICK.memory)


def test_every_frame_is_encoded_once():
    backend = DiskBackend()

    measure_speed(backend, 256, QUICK)

    assert backend.encoded == QUICK.steps


def test_own_share_is_a_part_of_a_click():
    speed = measure_speed(DiskBackend(), 256, QUICK)

    assert 0 < speed.own <= speed.click <= speed.click_p95


def test_memory_is_read_after_the_frames_it_is_asked_for():
    readings = measure_memory(DiskBackend(), (1, 70))

    assert [reading.frames for reading in readings] == [1, 70]
    assert all(reading.rss > 10 for reading in readings)


def test_larger_frames_continue_the_sample():
    sample = enlarged(dividing_cells(), 512, 2)

    assert sample.image.shape == sample.labels.shape == (2, 512, 512)
    assert np.array_equal(sample.image[:, :256, :256], dividing_cells().image[:2])


def test_points_lie_on_objects():
    labels = dividing_cells().labels[0]

    points = points_inside(labels, 20)

    assert (labels[tuple(points.T)] > 0).all()


@pytest.mark.parametrize("side", [2, 8])
def test_stopwatch_passes_answers_on_and_notes_the_time(side):
    watch = TimedBackend(DiskBackend())

    embedding = watch.encode(np.zeros((side, side, 3), np.float32))

    assert embedding.grey.shape == (side, side)
    assert len(watch.spent["encode"]) == 1
    assert watch.total == watch.spent["encode"][0] >= 0

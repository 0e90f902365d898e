from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam3 import commands as cli
from napari_sam3.benchmarks import stopwatch as benchmark_sample
from napari_sam3.benchmarks.benchmark import QUICK, measure_memory, measure_speed
from napari_sam3.benchmarks.sam_models import steps
from napari_sam3.benchmarks.stopwatch import TimedBackend, enlarged, points_inside
from napari_sam3.samples import dividing_cells
from tests.backends import DiskBackend

STEPS = ["encode", "first click", "click", "95 % of clicks"]
CONCEPTS = ["first concept", "concept"]
TRACKING = ["tracking per frame and object"]
MEMORY = ["peak memory of the process"]


@pytest.fixture(scope="session")
def tiny_sam3(tmp_path_factory):
    from tests import tiny_models

    return tiny_models.tiny_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory):
    from tests import tiny_models

    return tiny_models.tiny_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="session")
def tiny_edgetam(tmp_path_factory):
    from tests import tiny_models

    return tiny_models.tiny_edgetam(tmp_path_factory.mktemp("edgetam"))


@pytest.fixture
def small(monkeypatch):
    """Measure on images of the size of the sample."""
    monkeypatch.setattr(benchmark_sample, "SIDE", 256)


def measured(capsys, *options):
    """Run the command on the CPU and return the cells of its table by row, without the units."""
    assert cli.main(["benchmark", "--device", "cpu", *options]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {row.rpartition(",")[0]: figures for row, *figures in cells}


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
    hypotheses = measure_memory(DiskBackend(), (1, 70))

    assert [hypothesis.frames for hypothesis in hypotheses] == [1, 70]
    assert all(hypothesis.rss > 10 for hypothesis in hypotheses)


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


def test_sam3_is_measured_beside_the_stock_classes(tiny_sam3, small, capsys):
    rows = measured(capsys, "--model", str(tiny_sam3), "--stock")

    assert list(rows) == STEPS + CONCEPTS + TRACKING + MEMORY
    assert all(float(cell) > 0 for row in STEPS + CONCEPTS + TRACKING for cell in rows[row])
    assert [cell != "" for cell in rows[MEMORY[0]]] == [True, False, False]


@pytest.mark.parametrize("fixture", ["tiny_sam2", "tiny_edgetam"])
def test_models_without_concepts_are_measured_beside_the_stock_classes(
    fixture, small, capsys, request
):
    folder = request.getfixturevalue(fixture)

    rows = measured(capsys, "--model", str(folder), "--stock", "--objects", "2")

    assert list(rows) == STEPS + TRACKING + MEMORY
    assert all(len(rows[row]) == 3 for row in STEPS + TRACKING)


def test_random_weights_need_no_checkpoint(tiny_sam3, small, capsys, monkeypatch):
    from napari_sam3.benchmarks import stock_models as full_size
    from tests.tiny_models import load_tiny

    build = {"facebook/sam3": lambda: load_tiny("Sam3VideoModel", tiny_sam3)}
    monkeypatch.setattr(full_size, "FULL_SIZE", build)

    rows = measured(capsys, "--model", "facebook/sam3", "--random-weights", "--stock")

    assert list(rows) == STEPS + CONCEPTS + TRACKING + MEMORY


def test_a_model_is_measured_alone(small, capsys, tmp_path):
    file = tmp_path / "figures.json"

    rows = measured(capsys, "--model", "embedded", "--repeat", "2", "--json", str(file))

    assert all(len(figures) == 1 for figures in rows.values())
    assert list(json.loads(file.read_text())) == ["ours"]


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (["--stock"], "add --model"),
        (["--model", "facebook/sam9", "--random-weights"], "choose facebook/sam3"),
        (["--model", "nowhere/at/all", "--stock"], "choose"),
        (["--model", "embedded", "--repeat", "0"], "choose 1 or more"),
        (["--model", "embedded", "--stock"], "leave out --stock"),
    ],
)
def test_what_cannot_be_measured_is_answered_with_advice(options, advice, capsys):
    assert cli.main(["benchmark", *options]) == 2

    assert advice in capsys.readouterr().err


@pytest.mark.parametrize("fixture", ["tiny_sam3", "tiny_sam2", "tiny_edgetam"])
def test_stock_classes_share_the_weights_in_memory(fixture, request):
    from napari_sam3.benchmarks.sam_models import with_its_weights
    from napari_sam3.benchmarks.stock_models import stock_models

    shared = with_its_weights(str(request.getfixturevalue(fixture)), "cpu")
    places = {weights.data_ptr() for weights in shared.model.parameters()}

    stock = stock_models(shared.model, shared.tokenizer)

    used = [weights.data_ptr() for weights in stock.images.parameters()]
    assert set(used) <= places


@pytest.mark.parametrize("fixture", ["tiny_sam3", "tiny_sam2", "tiny_edgetam"])
def test_stock_classes_embed_no_frame_that_is_followed(fixture, request):
    from napari_sam3.benchmarks.sam_models import with_its_weights
    from tests.tiny_models import visits

    shared = with_its_weights(str(request.getfixturevalue(fixture)), "cpu")
    scene = benchmark_sample.scene(repeat=1, objects=1)
    trial = shared.stock_trial(scene.image)
    encoder = getattr(shared.model, "detector_model", shared.model).vision_encoder

    with visits(encoder) as seen:
        dict(steps(trial, scene))

    assert len(seen) <= 2  # by the class for images, and by that for videos

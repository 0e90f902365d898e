from __future__ import annotations

import json

import pytest

from napari_sam3 import commands
from napari_sam3.benchmarks import movies
from napari_sam3.benchmarks.sam_models import steps

STEPS = ["encode", "first click", "click", "95 % of clicks"]
CONCEPTS = ["first concept", "concept"]
TRACKING = ["tracking per frame and object"]
MEMORY = ["peak memory of the process"]


@pytest.fixture
def small(monkeypatch):
    """Measure on images of the size of the sample."""
    monkeypatch.setattr(movies, "SIDE", 256)


def measured(capsys, *options):
    """Run the command on the CPU and return the cells of its table by row, without the units."""
    assert commands.main(["benchmark", "--device", "cpu", *options]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {row.rpartition(",")[0]: figures for row, *figures in cells}


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
    from napari_sam3.benchmarks import stock_models
    from tests.tiny_models import load_tiny

    build = {"facebook/sam3": lambda: load_tiny("Sam3VideoModel", tiny_sam3)}
    monkeypatch.setattr(stock_models, "FULL_SIZE", build)

    rows = measured(capsys, "--model", "facebook/sam3", "--random-weights", "--stock")

    assert list(rows) == STEPS + CONCEPTS + TRACKING + MEMORY


def test_a_model_is_measured_alone(small, capsys, tmp_path):
    file = tmp_path / "figures.json"

    rows = measured(capsys, "--model", "embedded", "--repeat", "2", "--json", str(file))

    assert all(len(figures) == 1 for figures in rows.values())
    assert list(json.loads(file.read_text())) == ["ours"]


@pytest.mark.parametrize("fixture", ["tiny_sam3", "tiny_sam2", "tiny_edgetam"])
def test_stock_classes_share_the_weights_in_memory(fixture, request):
    from napari_sam3.benchmarks.sam_models import with_its_weights
    from napari_sam3.benchmarks.stock_models import stock_models

    shared = with_its_weights(str(request.getfixturevalue(fixture)), "cpu")
    addresses = {weights.data_ptr() for weights in shared.model.parameters()}

    stock = stock_models(shared.model, shared.tokenizer)

    used = [weights.data_ptr() for weights in stock.image_model.parameters()]
    assert set(used) <= addresses


@pytest.mark.parametrize("fixture", ["tiny_sam3", "tiny_sam2", "tiny_edgetam"])
def test_stock_classes_encode_no_frame_that_is_propagated_to(fixture, request):
    from napari_sam3.benchmarks.sam_models import with_its_weights
    from tests.tiny_models import visits

    shared = with_its_weights(str(request.getfixturevalue(fixture)), "cpu")
    scene = movies.scene(repeat=1, objects=1)
    trial = shared.stock_trial(scene.image)
    encoder = getattr(shared.model, "detector_model", shared.model).vision_encoder

    with visits(encoder) as calls:
        dict(steps(trial, scene))

    assert len(calls) <= 2  # by the image class, and by the video class

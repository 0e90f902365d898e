"""The plumbing of the comparison with other programs; no figure is checked."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parent / "benchmarks"
FIGURES = ["frames", "embed", "first click", "click", "late click", "decoder"]
FOLLOWED = ["follow", "followed", "peak"]


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """Let the scripts find each other, as they do when one of them is run."""
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory):
    from tests import tiny_models

    return tiny_models.tiny_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="session")
def tiny_sam3(tmp_path_factory):
    from tests import tiny_models

    return tiny_models.tiny_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture
def task(tmp_path):
    """A short movie of small frames, two objects and three clicks."""
    from contest import arguments

    importlib.import_module("movie").write(tmp_path, (3, 128, 128), objects=2, clicks=2)
    line = [str(tmp_path), str(tmp_path), "--frames", "3"]
    return importlib.import_module("contest").Task.read(arguments().parse_args(line))


def ours(model, task):
    module = importlib.import_module("ours")
    return module.Ours(module.backend_of(str(model), "cpu"), task)


def stock(model, task):
    module = importlib.import_module("stock")
    return module.Stock(module.shared_by(str(model), "cpu"), task)


def test_movie_shows_the_cells_it_is_clicked_on(task):
    outside = np.median(task.movie)

    assert task.movie.shape == (3, 128, 128)
    assert task.clicks.shape == (3, 3, 2)
    assert all(task.movie[0][tuple(point)] > outside for point in task.objects)


def test_movie_goes_back_before_it_goes_on_again():
    order = importlib.import_module("movie").there_and_back(60)

    assert order[:3] == [0, 1, 2]
    assert order[28:31] == [28, 29, 28]
    assert order[57:] == [1, 0, 1]


@pytest.mark.parametrize("side", [100, 256, 700])
def test_frames_are_cut_or_continued(side):
    movie = importlib.import_module("movie")

    image = movie.fitted(np.arange(256 * 256, dtype=np.uint16).reshape(256, 256), (side, side))

    assert image.shape == (side, side)
    assert image[0, 1] == 1


def test_embedded_model_takes_all_steps(task):
    figures = importlib.import_module("contest").competed(ours("embedded", task), task)

    assert list(figures) == [*FIGURES, *FOLLOWED]
    assert figures["followed"] == 100
    assert figures["decoder"] > 0


@pytest.mark.parametrize("fixture", ["tiny_sam2", "tiny_sam3"])
@pytest.mark.parametrize("contender", [ours, stock])
def test_models_of_the_sam_family_take_all_steps(contender, fixture, task, request):
    model = request.getfixturevalue(fixture)

    figures = importlib.import_module("contest").competed(contender(model, task), task)

    assert list(figures) == [*FIGURES, *FOLLOWED]
    assert figures["decoder"] > 0


def test_stock_classes_embed_every_frame_they_follow(task, tiny_sam3):
    from tests.tiny_models import visits

    contender = stock(tiny_sam3, task)
    trunk = contender._models.trunk

    with visits(trunk.encoder) as seen:
        contender.propagate()

    assert len(seen) == len(task.movie)


def test_coming_back_embeds_nothing(task):
    from napari_sam3.benchmarks.stopwatch import TimedBackend

    module = importlib.import_module("ours")
    module.Ours(module.backend_of("embedded", "cpu"), task).embed()
    backend = TimedBackend(module.backend_of("embedded", "cpu"))
    again = module.Ours(backend, task)

    again.embed()

    assert backend.spent["encode"] == []


def test_decoder_alone_repeats_what_it_was_given(task, tiny_sam2):
    bare = importlib.import_module("bare_decoder")
    contender = ours(tiny_sam2, task)
    contender.embed()
    decoders = bare.decoders_in(lambda: contender.click(2, task.clicks[2, 0]))

    with bare.Rehearsal(decoders) as rehearsal:
        contender.click(2, task.clicks[2, 1])

    assert [type(call.decoder).__name__ for call in rehearsal.calls] == ["Sam2VideoMaskDecoder"]
    rehearsal.repeat()
    assert len(rehearsal.calls) == 1


def test_floor_counts_operations_and_bytes():
    floor = importlib.import_module("floor")
    backend = importlib.import_module("ours").backend_of("embedded", "cpu")
    rates = {"float32": 1e12, "bfloat16": 1e12, "bytes": 1e10}

    steps = floor.steps_of(backend, 128)
    figures = {name: floor.measured(step, rates, 1) for name, step in steps.items()}

    assert figures["encode"]["flops"] > figures["click"]["flops"] > 1e8
    assert figures["encode"]["bytes"] > 1e6


def test_a_contender_runs_in_a_process_of_its_own(tmp_path):
    side_by_side = importlib.import_module("side_by_side")
    importlib.import_module("movie").write(tmp_path, (2, 128, 128), objects=1, clicks=1)
    entry = side_by_side.Entry("embedded", "ours.py", "embedded", keeps=False)

    figures = side_by_side.competed(entry, tmp_path, frames=2, device="cpu")

    assert figures["frames"] == 2
    assert figures["peak"] > 100


@pytest.fixture
def started(monkeypatch):
    """Collect what would be started; whatever it is, it takes a second for each step."""
    side_by_side = importlib.import_module("side_by_side")
    lines = []
    known = ["embed", "click", "decoder", "follow", "reopen"]

    def run(_python, script, line):
        lines.append([script, *line])
        return dict.fromkeys(known, 1000.0)

    monkeypatch.setattr(side_by_side, "run", run)
    return lines


def test_figures_are_told_and_written(started, tmp_path, monkeypatch, capsys):
    file = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["", "--only", "sam3", "--json", str(file)])

    importlib.import_module("side_by_side").main()

    told = capsys.readouterr().out
    assert "| reopen, ms a frame | 1000 | 1000 |" in told
    assert "| sam3 | 1.00 | 1.00 | 0.50 | 1.00 |" in told
    assert list(json.loads(file.read_text())["compared"]) == ["sam3", "stock sam3"]


def test_slow_contenders_see_fewer_frames(started, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["", "--only", "embedded", "sam3", "--frames-of", "sam3=3"])

    importlib.import_module("side_by_side").main()

    frames = {line[0] + line[4]: line[line.index("--frames") + 1] for line in started[1:]}
    assert frames == {
        "ours.pyembedded": "100",
        "ours.pyfacebook/sam3": "3",
        "stock.pyfacebook/sam3": "3",
    }


def test_contender_that_comes_back_finds_the_same_folder(started, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["", "--only", "embedded"])

    importlib.import_module("side_by_side").main()

    there, back = (line for line in started if line[0] == "ours.py")
    assert back == [*there, "--reopen"]


def test_contender_that_fails_is_left_out(monkeypatch, capsys):
    side_by_side = importlib.import_module("side_by_side")

    def run(_python, script, _line):
        if script == "stock.py":
            raise subprocess.CalledProcessError(1, script)
        return {"embed": 1.0, "follow": 1.0}

    monkeypatch.setattr(side_by_side, "run", run)
    monkeypatch.setattr(sys, "argv", ["", "--only", "sam2.1"])

    side_by_side.main()

    told = capsys.readouterr()
    assert "|  | sam2.1 |" in told.out
    assert "stock sam2.1 is left out" in told.err


@pytest.mark.parametrize("python", [None, "python-of-micro-sam"])
def test_micro_sam_competes_where_it_is_installed(python):
    side_by_side = importlib.import_module("side_by_side")
    line = ["--only", "sam2.1", "micro-sam"]
    line += ["--micro-sam-python", python] if python else []

    entries = list(side_by_side.entries(side_by_side.parsed(line)))

    names = [entry.name for entry in entries]
    assert names[:2] == ["sam2.1", "stock sam2.1"]
    assert names[2:] == (["micro-sam"] if python else [])


def test_tables_leave_out_what_was_not_measured():
    tables = importlib.import_module("tables")
    ours = {"embed": 300.0, "click": 11.0, "decoder": 10.0, "follow": 50.0, "reopen": 3.0}
    columns = {"sam3": ours, "stock sam3": {"follow": 200.0}}

    aims = tables.aims(columns)

    assert "| sam3 | 1.10 | 4.00 |  | 100.00 |" in aims
    assert "stock sam3" not in aims


def test_growth_draws_frames_when_they_are_read():
    frames = importlib.import_module("growth").endless(1000, 64)

    assert len(frames) == 1000
    assert np.array_equal(frames.read(0), frames.read(58))

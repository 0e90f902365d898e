"""The comparison with other programs; no figure is checked."""

from __future__ import annotations

import json
import subprocess

import pytest

from napari_sam3.benchmarks import side_by_side
from napari_sam3.benchmarks.movies import write_movie


def test_a_contender_runs_in_a_process_of_its_own(tmp_path):
    write_movie(tmp_path, (2, 128, 128), objects=1, clicks=1)
    options = {"contender": "engine", "model": "embedded"}
    entry = side_by_side.Entry("embedded", "contenders", options, keeps_embeddings=False)

    figures = side_by_side.measure_entry(entry, tmp_path, frames=2, device="cpu")

    assert figures["frames"] == 2
    assert figures["peak"] > 100


def test_another_python_imports_the_benchmarks_alone(monkeypatch):
    started = []

    def run(command, env, **_):
        started.append((command, env["PYTHONPATH"]))
        return subprocess.CompletedProcess(command, 0, stdout='progress\n{"frames": 2}\n')

    monkeypatch.setattr(subprocess, "run", run)

    figures = side_by_side.run("python-of-micro-sam", "micro_sam", ["--frames", "2"])

    ((command, path),) = started
    module = "napari_sam3.benchmarks.micro_sam"
    assert command == ["python-of-micro-sam", "-m", module, "--frames", "2"]
    assert path != str(side_by_side.PACKAGE.parent)
    assert figures == {"frames": 2}


@pytest.fixture
def started(monkeypatch):
    """Collect what would be started; every step takes a second."""
    lines = []
    names = ["encode", "click", "decoder", "propagate", "reopen"]

    def run(_python, module, line):
        lines.append([module, *line])
        return dict.fromkeys(names, 1000.0)

    monkeypatch.setattr(side_by_side, "run", run)
    return lines


def test_figures_are_printed_and_written(started, tmp_path, capsys):
    file = tmp_path / "figures.json"

    side_by_side.main(["--only", "sam3", "--json", str(file)])

    output = capsys.readouterr().out
    assert "| reopen, ms a frame | 1000 | 1000 |" in output
    assert "| sam3 | 1.00 | 1.00 | 0.50 | 1.00 |" in output
    assert list(json.loads(file.read_text())["compared"]) == ["sam3", "stock sam3"]


def test_slow_contenders_see_fewer_frames(started):
    side_by_side.main(["--only", "embedded", "sam3", "--frames-of", "sam3=3"])

    values = [dict(zip(line[3::2], line[4::2], strict=False)) for line in started[1:]]
    frames = {(own["--contender"], own["--model"]): own["--frames"] for own in values}
    assert frames == {
        ("engine", "embedded"): "100",
        ("engine", "facebook/sam3"): "3",
        ("stock", "facebook/sam3"): "3",
    }


def test_contender_that_returns_finds_the_same_folder(started):
    side_by_side.main(["--only", "embedded"])

    first, second = (line for line in started if line[0] == "contenders")
    assert second == [*first, "--reopen"]


def test_contender_that_fails_is_left_out(monkeypatch, capsys):
    def run(_python, module, line):
        if "stock" in line:
            raise subprocess.CalledProcessError(1, module)
        return {"encode": 1.0, "propagate": 1.0}

    monkeypatch.setattr(side_by_side, "run", run)

    side_by_side.main(["--only", "sam2.1"])

    output = capsys.readouterr()
    assert "|  | sam2.1 |" in output.out
    assert "stock sam2.1 is left out" in output.err


@pytest.mark.parametrize("python", [None, "python-of-micro-sam"])
def test_micro_sam_is_compared_where_it_is_installed(python):
    line = ["--only", "sam2.1", "micro-sam"]
    line += ["--micro-sam-python", python] if python else []

    entries = list(side_by_side.entries(side_by_side.parsed(line)))

    names = [entry.name for entry in entries]
    assert names[:2] == ["sam2.1", "stock sam2.1"]
    assert names[2:] == (["micro-sam"] if python else [])


def test_tables_leave_out_what_was_not_measured():
    ours = {"encode": 300.0, "click": 11.0, "decoder": 10.0, "propagate": 50.0, "reopen": 3.0}
    columns = {"sam3": ours, "stock sam3": {"propagate": 200.0}}

    ratios = side_by_side.ratio_table(columns)

    assert "| sam3 | 1.10 | 4.00 |  | 100.00 |" in ratios
    assert "stock sam3" not in ratios

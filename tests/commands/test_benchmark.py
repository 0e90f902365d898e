from __future__ import annotations

import json

import pytest

from napari_sam3 import commands
from napari_sam3.benchmarks.engine_speed import QUICK


def test_benchmark_writes_its_figures(tmp_path, capsys):
    file = tmp_path / "figures.json"

    assert commands.main(["benchmark", "--quick", "--device", "cpu", "--json", str(file)]) == 0

    assert "| 256 x 256 |" in capsys.readouterr().out
    figures = json.loads(file.read_text())
    assert figures["speed"][0]["encode"] > 0
    assert [row["frames"] for row in figures["memory"]] == list(QUICK.memory)


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
def test_benchmark_refuses_what_it_cannot_measure_with_advice(options, advice, capsys):
    assert commands.main(["benchmark", *options]) == 2

    assert advice in capsys.readouterr().err

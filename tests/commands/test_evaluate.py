from __future__ import annotations

import json

from napari_sam3 import commands
from napari_sam3.engine import Engine
from tests.backends import DiskBackend
from tests.labelled_images import two_disks, write_item


def test_evaluate_writes_a_table_scores_and_a_drawing(tmp_path, capsys, monkeypatch):
    write_item(tmp_path / "data" / "dsb_a", two_disks(), modality="fluorescence")
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, *_, **__: cls(DiskBackend())))
    files = ["--json", str(tmp_path / "a.json"), "--worst", "2", str(tmp_path / "a.png")]

    code = commands.main(["evaluate", str(tmp_path / "data"), *files])

    scores = json.loads((tmp_path / "a.json").read_text())
    assert code == 0
    assert "| dsb_a |" in capsys.readouterr().out
    assert scores["embedded"]["groups"]["all"]["1 click"] == 1
    assert (tmp_path / "a.png").exists()

from dataclasses import replace
from pathlib import Path

from napari_sam3.training.config import Config
from napari_sam3.training.factory import _wanted


def test_real_and_synthetic_shards_are_made_in_turn() -> None:
    config = replace(Config.read(), shards=40, real_shards=10, real=Path("somewhere"))

    names = _wanted(config)

    assert [name.split("-")[0] for name in names[:4]] == [*["validation"] * 3, "training"]
    assert sum("real" in name for name in names[3:28]) == 5
    assert len(names) == 53


def test_without_real_pictures_all_shards_are_synthetic() -> None:
    names = _wanted(replace(Config.read(), shards=4))

    assert all("synthetic" in name for name in names)

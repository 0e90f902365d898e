from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam3.training.labelled_images import partner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cell.tif", "cell.ome.tif", "a[1].png", "other.png", "other.tif"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("name", ["cell.tif", "cell.ome.tif", "other.png", "other.tif"])
def test_the_same_name_comes_first(folder, name):
    assert partner(Path(name), folder) == folder / name


def test_a_name_that_only_begins_alike_is_another(folder):
    assert partner(Path("cell.png"), folder) == folder / "cell.tif"
    assert partner(Path("cell.om.png"), folder) is None
    assert partner(Path("cel.tif"), folder) is None


def test_brackets_are_letters_like_others(folder):
    assert partner(Path("a[1].tif"), folder) == folder / "a[1].png"
    assert partner(Path("a1.tif"), folder) is None

"""The dock, the engine and the command line keep their work in one layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from tifffile import imwrite

from napari_sam3 import commands
from napari_sam3.engine import Engine, Prompts
from tests.backends import DiskBackend
from tests.controller.bench import MOVIE, PATH, Bench


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.add_image(MOVIE)
    return bench


def session_of(folder: Path) -> dict:
    return json.loads((folder / "session.json").read_text())


def labels_of(folder: Path, object_id: int, part: str = "0") -> zarr.Array:
    return zarr.open_array(folder / "labels.zarr" / f"object-{object_id}" / part, mode="r")


def test_the_dock_writes_nothing_before_the_first_mask(bench: Bench) -> None:
    bench.controller.begin()
    folder = bench.workspace.folder.path
    assert not folder.exists()

    bench.click_disk(0)
    assert sorted(path.name for path in folder.iterdir()) == ["labels.zarr", "session.json"]


def test_the_dock_and_the_engine_describe_an_image_alike(bench: Bench, tmp_path: Path) -> None:
    bench.click_disk(0)
    Engine(DiskBackend()).open(MOVIE, tmp_path / "engine.sam3")

    dock, engine = session_of(bench.workspace.folder.path), session_of(tmp_path / "engine.sam3")
    assert dock.keys() == engine.keys()
    assert dock["contrast"][0].keys() == engine["contrast"][0].keys()
    assert (dock["version"], dock["image"], dock["model"]) == (
        engine["version"],
        engine["image"],
        engine["model"],
    )


def test_the_engine_goes_on_in_a_folder_of_the_dock(bench: Bench) -> None:
    bench.click_disk(0)
    bench.paint((0,), 5, 5)
    folder = bench.workspace.folder.path

    session = Engine(DiskBackend()).open(MOVIE, folder)
    masks = [session.segment(frame, Prompts(points=[PATH[frame]])) for frame in (0, 1)]

    labels = labels_of(folder, 1)
    assert labels[0, 5, 5] == 1
    assert labels_of(folder, 1, "model")[0, 5, 5] == 0
    np.testing.assert_array_equal(labels[1] == 1, masks[1].pixels)
    np.testing.assert_array_equal(bench.mask(1), masks[1].pixels)  # the same file


def test_the_command_line_writes_the_same_layout(tmp_path: Path) -> None:
    movie = tmp_path / "movie.tif"
    imwrite(movie, MOVIE[:2], imagej=True, metadata={"axes": "TYX"})

    commands.main(["encode", str(movie)])

    session = session_of(movie.with_suffix(".sam3"))
    assert session["version"] == 2
    assert session["image"]["shape"] == [2, 64, 64]
    assert session["model"]["name"] == "embedded"
    assert (movie.with_suffix(".sam3") / "labels.zarr").is_dir()

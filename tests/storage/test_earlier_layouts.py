from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_sam3.engine import Engine, Prompts, StorageError
from napari_sam3.storage import SessionDescription, SessionFolder
from napari_sam3.values import Geometry
from tests.backends import DiskBackend, disk_frames
from tests.storage.earlier_folders import write_dock_folder, write_engine_folder

MOVIE = disk_frames([(30, 10 + 4 * index) for index in range(6)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "movie.sam3"


def mask(*frames: int) -> NDArray[np.bool_]:
    pixels = np.zeros(MOVIE.shape, bool)
    pixels[list(frames), 5:15, 20:40] = True
    return pixels


def open_movie(path: Path) -> SessionFolder:
    Engine(DiskBackend()).open(MOVIE, path)
    return SessionFolder(path, lambda: pytest.fail("it is there"))


def labels(path: Path, name: str, part: str = "0") -> NDArray[np.unsignedinteger]:
    return np.asarray(zarr.open_array(path / "labels.zarr" / name / part, mode="r")[:])


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_masks_of_the_engine_are_brought_over(path: Path) -> None:
    write_engine_folder(path, MOVIE, {1: mask(0, 3), 70_000: mask(2)})

    folder = open_movie(path)

    assert folder.labels.names() == ["object-1", "object-70000"]
    for part in ("0", "model"):
        np.testing.assert_array_equal(labels(path, "object-1", part), mask(0, 3))
        np.testing.assert_array_equal(labels(path, "object-70000", part), 70_000 * mask(2))
    assert json.loads((path / "session.json").read_text())["version"] == 2


def test_arrays_of_the_engine_are_kept_as_they_were(path: Path) -> None:
    write_engine_folder(path, MOVIE, {1: mask(0, 3)})
    before = files_in(path / "labels.zarr" / "1")

    open_movie(path)

    assert files_in(path / "labels-before.zarr" / "1") == before
    assert not (path / "labels.zarr" / "1").exists()


def test_work_goes_on_in_a_folder_of_the_engine(path: Path) -> None:
    write_engine_folder(path, MOVIE, {1: mask(0, 3)})

    found = Engine(DiskBackend()).open(MOVIE, path).segment(0, Prompts(points=[(30, 10)]))

    np.testing.assert_array_equal(labels(path, "object-1")[0] == 1, found.pixels)
    np.testing.assert_array_equal(labels(path, "object-1")[3], mask(3)[3])


def test_labels_of_the_dock_are_brought_over_with_hand_edits(path: Path) -> None:
    shown, model = mask(2).astype(np.uint16), mask(2, 4).astype(np.uint16)
    write_dock_folder(path, "object-1", shown, model)
    write_dock_folder(path, "concept-1", 5 * model, 5 * model)

    folder = open_movie(path)

    assert folder.labels.names() == ["concept-1", "object-1"]
    np.testing.assert_array_equal(labels(path, "object-1"), shown)
    np.testing.assert_array_equal(labels(path, "object-1", "model"), model)
    session = json.loads((path / "session.json").read_text())
    assert (session["version"], session["image"]["shape"]) == (2, list(MOVIE.shape))
    root = zarr.open_group(path / "labels.zarr", mode="r")
    assert root.attrs["ome"]["labels"] == ["concept-1", "object-1"]
    assert "image-label" in root["object-1"].attrs["ome"]


def test_a_hand_edit_of_the_dock_stays_when_the_engine_writes(path: Path) -> None:
    shown = mask(0).astype(np.uint16)
    write_dock_folder(path, "object-1", shown, np.zeros_like(shown))

    found = Engine(DiskBackend()).open(MOVIE, path).segment(0, Prompts(points=[(30, 10)]))

    np.testing.assert_array_equal(labels(path, "object-1")[0] == 1, found.pixels | mask(0)[0])


def test_a_folder_that_both_wrote_keeps_the_masks_of_both(path: Path) -> None:
    write_engine_folder(path, MOVIE, {1: mask(0)})
    drawn = mask(5).astype(np.uint16)
    write_dock_folder(path, "object-1", drawn, drawn)

    folder = open_movie(path)

    assert folder.labels.names() == ["object-1", "object-1-2"]
    np.testing.assert_array_equal(labels(path, "object-1"), drawn)
    np.testing.assert_array_equal(labels(path, "object-1-2"), mask(0))


@pytest.mark.parametrize("kept_of", ["none", "first"])
def test_what_was_interrupted_is_continued(
    path: Path, kept_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_engine_folder(path, MOVIE, {1: mask(0), 2: mask(1)})
    rename = Path.rename

    def end_at(file: Path, target: Path) -> Path:
        if target.parent.name == "labels-before.zarr" and (kept_of == "none" or file.name == "2"):
            raise OSError("killed")
        return rename(file, target)

    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", end_at)
        with pytest.raises(StorageError, match="killed"):
            open_movie(path)
    assert json.loads((path / "session.json").read_text())["version"] == 1

    folder = open_movie(path)

    assert folder.labels.names() == ["object-1", "object-2"]
    for object_id in (1, 2):
        expected = object_id * mask(object_id - 1)
        np.testing.assert_array_equal(labels(path, f"object-{object_id}"), expected)


def test_a_folder_of_the_dock_of_another_size_is_refused_and_left_alone(path: Path) -> None:
    drawn = mask(2)[:5].astype(np.uint16)
    write_dock_folder(path, "object-1", drawn, drawn)
    before = files_in(path)

    with pytest.raises(StorageError, match="holds results of 5 frames of 64 x 64"):
        open_movie(path)

    assert files_in(path) == before


@pytest.mark.parametrize("tile", [1024, 5000])
def test_large_frames_of_the_engine_are_brought_over(path: Path, tile: int) -> None:
    shape = (2, 5000, 4000)
    pixels = np.zeros(shape, bool)
    pixels[1, 2040:2060, 2040:2060] = True
    write_engine_folder(path, np.zeros(shape, np.uint8), {4: pixels}, tile)

    Engine(DiskBackend()).open(np.zeros(shape, np.uint8), path)

    finest = zarr.open_array(path / "labels.zarr" / "object-4" / "0", mode="r")
    assert finest.chunks == (1, 512, 512)
    np.testing.assert_array_equal(
        finest[1, 2000:2100, 2000:2100], 4 * pixels[1, 2000:2100, 2000:2100]
    )
    assert np.count_nonzero(finest[1]) == 400
    assert labels(path, "object-4", "2")[1, 512, 512] == 4
    assert len(list((path / "labels.zarr" / "object-4" / "0" / "c").rglob("*/*/*"))) <= 4


def test_large_frames_of_the_dock_are_brought_over(path: Path) -> None:
    drawn = np.zeros((2, 5000, 4000), np.uint16)
    drawn[1, 2000:2010, 2000:2010] = 1
    write_dock_folder(path, "object-1", drawn, drawn)

    description = SessionDescription(drawn.shape, Geometry.of_pixels("tyx"), "", {}, [])
    SessionFolder.open(path, description)

    group = zarr.open_group(path / "labels.zarr" / "object-1", mode="r")
    assert len(group.attrs["ome"]["multiscales"][0]["datasets"]) == 3
    assert np.count_nonzero(group["0"][1]) == 100

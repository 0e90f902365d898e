from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_sam3.engine import StorageError
from napari_sam3.io import open_image
from napari_sam3.storage import CHOOSE_CACHE, LabelPlane, SessionDescription, SessionFolder
from napari_sam3.values import Box, Geometry, Mask

PLANE = (40, 50)
GEOMETRY = Geometry(
    "tyx", (2.0, 0.5, 0.25), (0.0, 10.0, 20.0), ("second", "micrometer", "micrometer")
)


def described(shape: tuple[int, ...] = (3, *PLANE), first_frame: str = "a") -> SessionDescription:
    geometry = GEOMETRY if len(shape) == 3 else Geometry.of_pixels("tzyx"[-len(shape) :])
    return SessionDescription(
        shape, geometry, first_frame, {"name": "disks", "revision": "1"}, [{"gamma": 1.0}]
    )


def square(frame: int = 0, object_id: int = 1, top: int = 5) -> Mask:
    pixels = np.zeros(PLANE, bool)
    pixels[top : top + 8, 10:18] = True
    return Mask(pixels, Box.whole(PLANE), PLANE, frame=frame, object_id=object_id)


def write_squares(path: Path, object_id: int) -> None:
    folder = SessionFolder.open(path, described())
    for frame in range(3):
        folder.write_mask(square(frame, object_id))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "movie.sam3"


@pytest.fixture
def folder(path: Path) -> SessionFolder:
    return SessionFolder(path, described)


def shown(path: Path, name: str = "object-1") -> zarr.Array:
    return zarr.open_array(path / "labels.zarr" / name / "0", mode="r")


def test_nothing_is_written_before_the_first_labels(folder: SessionFolder, path: Path) -> None:
    assert not path.exists()

    folder.labels.create("object-1", (3, *PLANE))

    assert json.loads((path / "session.json").read_text()) == {
        "version": 2,
        "image": {"shape": [3, *PLANE], "axes": "tyx", "first_frame": "a"},
        "model": {"name": "disks", "revision": "1"},
        "contrast": [{"gamma": 1.0}],
    }


def test_an_empty_mask_of_a_new_object_begins_no_labels(folder: SessionFolder, path: Path) -> None:
    folder.write_mask(Mask.absent(PLANE))

    assert not path.exists()


def test_labels_are_ome_zarr_where_the_image_is(folder: SessionFolder, path: Path) -> None:
    folder.write_mask(square(2, 7))

    root = zarr.open_group(path / "labels.zarr", mode="r")
    assert root.attrs["ome"] == {"version": "0.5", "labels": ["object-7"]}
    assert root["object-7"].attrs["ome"]["image-label"] == {"version": "0.5"}
    image = open_image(path / "labels.zarr" / "object-7")
    assert image.geometry == GEOMETRY
    np.testing.assert_array_equal(image.levels[0][2] == 7, square().pixels)


def test_deleted_labels_are_listed_no_more(folder: SessionFolder, path: Path) -> None:
    for object_id in (1, 2):
        folder.write_mask(square(0, object_id))

    folder.labels.delete("object-1")

    root = zarr.open_group(path / "labels.zarr", mode="r")
    assert root.attrs["ome"]["labels"] == ["object-2"]


def test_a_session_json_that_was_deleted_is_written_anew(folder: SessionFolder, path: Path) -> None:
    folder.write_mask(square(0, 1))
    (path / "session.json").unlink()

    folder.write_mask(square(0, 2))

    assert json.loads((path / "session.json").read_text())["version"] == 2


def test_hand_edits_stay_when_the_model_writes_again(folder: SessionFolder, path: Path) -> None:
    folder.write_mask(square())
    labels = folder.labels.open("object-1")
    plane = labels.read((0,), Box.whole(PLANE))
    painted = plane.shown.copy()
    painted[30:35, 30:35] = 1
    labels.write((0,), LabelPlane(painted, plane.model), Box.whole(PLANE))

    SessionFolder.open(path, described()).write_mask(square(top=6))

    expected = square(top=6).pixels.copy()
    expected[30:35, 30:35] = True
    np.testing.assert_array_equal(shown(path)[0] == 1, expected)


def test_an_object_that_shares_its_labels_is_written_there(
    folder: SessionFolder, path: Path
) -> None:
    labels = folder.labels.create("objects", (3, *PLANE))
    labels.write_mask(((0,), 1), square())

    SessionFolder.open(path, described()).write_mask(square(0, 2, top=9))

    assert folder.labels.names() == ["objects"]
    np.testing.assert_array_equal(shown(path, "objects")[0] == 1, square().pixels)
    rest = square(top=9).pixels & ~square().pixels
    np.testing.assert_array_equal(shown(path, "objects")[0] == 2, rest)


@pytest.mark.parametrize(
    ("before", "now"),
    [(PLANE, (1, *PLANE)), ((1, *PLANE), PLANE), ((3, *PLANE), (1, 3, *PLANE))],
)
def test_axes_of_length_one_make_no_difference(
    path: Path, before: tuple[int, ...], now: tuple[int, ...]
) -> None:
    SessionFolder.open(path, described(before)).write_mask(square())

    SessionFolder.open(path, described(now)).write_mask(square(0, 2))

    assert shown(path, "object-2").shape == before
    assert shown(path, "object-2")[:].any()


def test_another_image_is_refused_with_the_remedy(path: Path) -> None:
    SessionFolder.open(path, described())

    with pytest.raises(StorageError, match=r"3 frames of 40 x 50.* 3 x 4 frames of 40 x 50"):
        SessionFolder.open(path, described((3, 4, *PLANE)))
    with pytest.raises(StorageError, match=r"first frame differs .*NAPARI_SAM3_CACHE"):
        SessionFolder(path, lambda: described(first_frame="b"), CHOOSE_CACHE).begin()


def test_an_unknown_first_frame_refuses_nothing(path: Path) -> None:
    SessionFolder.open(path, described())

    SessionFolder.open(path, described(first_frame=""))

    session = json.loads((path / "session.json").read_text())
    assert session["image"]["first_frame"] == "a"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"version": 3}', "newer napari-sam3: update it"),
        ('{"version": 0}', r"cannot be read \(its version is 0\)"),
        ('{"version": true}', r"cannot be read \(its version is True\)"),
        ("[", "cannot be read"),
    ],
)
def test_a_folder_of_another_version_is_refused_and_left_alone(
    path: Path, text: str, sentence: str
) -> None:
    path.mkdir()
    (path / "session.json").write_text(text)

    with pytest.raises(StorageError, match=sentence):
        SessionFolder.open(path, described())

    assert (path / "session.json").read_text() == text
    assert list(path.iterdir()) == [path / "session.json"]


def test_threads_write_objects_of_one_folder(folder: SessionFolder, path: Path) -> None:
    masks = [square(frame, object_id) for frame in range(3) for object_id in range(1, 9)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(folder.write_mask, masks))

    for object_id in range(1, 9):
        labels = shown(path, f"object-{object_id}")
        assert [np.count_nonzero(frame == object_id) for frame in labels[:]] == [64] * 3


def test_processes_begin_and_write_one_folder(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as processes:
        processes.starmap(write_squares, [(path, object_id) for object_id in (1, 2, 1, 2)])

    root = zarr.open_group(path / "labels.zarr", mode="r")
    assert sorted(root.group_keys()) == ["object-1", "object-2"]
    for object_id in (1, 2):
        labels = shown(path, f"object-{object_id}")
        assert [np.count_nonzero(frame == object_id) for frame in labels[:]] == [64] * 3
    assert sorted(file.name for file in path.iterdir()) == ["labels.zarr", "session.json"]

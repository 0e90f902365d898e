from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_sam3.engine import Engine, Prompts, Session, StorageError
from tests.backends import DiskBackend, disk_frames
from tests.shared_folders import CUT_OFF, made_meanwhile

CLICK = Prompts(points=[(30, 10)])
MOVIE = disk_frames([(30, 10 + 4 * index) for index in range(6)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lab" / "movie.sam3"


@pytest.fixture
def session(engine: Engine, folder: Path) -> Session:
    return engine.open(MOVIE, folder=folder)


def stored(folder: Path, object_id: int) -> zarr.Array:
    """Return what is on disk of an object, (F, H, W)."""
    return zarr.open_array(folder / "labels.zarr" / f"object-{object_id}" / "0", mode="r")


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarr.Array, "__setitem__", fail)


def test_folder_tells_what_its_results_were_made_from(session: Session, folder: Path) -> None:
    facts = json.loads((folder / "session.json").read_text())

    assert facts["version"] == 2
    assert facts["model"] == {"name": "disks", "revision": "1"}
    assert (facts["image"]["shape"], facts["image"]["axes"]) == ([6, 64, 64], "tyx")
    assert facts["contrast"] == [
        {"limits": [20, 220], "gamma": 1, "opacity": 1, "blending": "additive", "colors": [1, 1, 1]}
    ]


def test_every_mask_is_on_disk_as_soon_as_it_is_returned(session: Session, folder: Path) -> None:
    clicked = session.segment(0, CLICK, object_id=3)
    propagated = list(session.propagate({(0, 3): CLICK}, range(3)))

    labels = zarr.open_group(folder / "labels.zarr", mode="r")
    assert list(labels.group_keys()) == ["object-3"]
    assert stored(folder, 3).chunks == (1, 64, 64)
    np.testing.assert_array_equal(stored(folder, 3)[0] == 3, clicked.pixels)
    np.testing.assert_array_equal(stored(folder, 3)[:3] == 3, [mask.pixels for mask in propagated])
    assert not stored(folder, 3)[3:].any()
    np.testing.assert_array_equal(stored(folder, 3)[:], labels["object-3"]["model"][:])


def test_preferred_hypothesis_replaces_the_best(session: Session, folder: Path) -> None:
    part = session.segment(0, CLICK).alternatives[1]
    session.prefer(0, 1, "part")

    np.testing.assert_array_equal(stored(folder, 1)[0], part.pixels)


def test_closing_and_removing_keep_what_is_on_disk(session: Session, folder: Path) -> None:
    mask = session.segment(0, CLICK)
    session.remove(1)
    session.reset()
    session.close()

    np.testing.assert_array_equal(stored(folder, 1)[0], mask.pixels)


def test_folder_of_the_same_image_is_continued(
    engine: Engine, session: Session, folder: Path
) -> None:
    before = session.segment(0, CLICK)
    engine.open(MOVIE, folder=str(folder)).segment(1, CLICK)

    np.testing.assert_array_equal(stored(folder, 1)[0], before.pixels)
    assert stored(folder, 1)[1].any()


@pytest.mark.parametrize("movie", [MOVIE[:5], MOVIE[:, :32]])
def test_folder_of_another_image_is_refused(
    engine: Engine, session: Session, folder: Path, movie: np.ndarray
) -> None:
    with pytest.raises(StorageError, match=r"holds results of 6 frames of 64 x 64.*another folder"):
        engine.open(movie, folder=folder)


def test_folder_of_another_image_of_the_same_size_is_refused(
    engine: Engine, session: Session, folder: Path
) -> None:
    mask = session.segment(0, CLICK)

    with pytest.raises(StorageError, match=r"holds results of another image.*another folder"):
        engine.open(MOVIE[::-1], folder=folder)

    np.testing.assert_array_equal(stored(folder, 1)[0], mask.pixels)


@pytest.mark.parametrize("dtype", [">u2", "f4"])
def test_folder_of_the_same_image_in_another_type_is_continued(
    engine: Engine, session: Session, folder: Path, dtype: str
) -> None:
    mask = engine.open(MOVIE.astype(dtype), folder).segment(1, CLICK)

    assert mask.area > 0


def test_folder_that_does_not_tell_of_its_first_frame_is_continued(
    engine: Engine, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / "session.json").write_text('{"version": 1, "frames": 6, "shape": [64, 64]}')

    engine.open(MOVIE, folder)

    session = json.loads((folder / "session.json").read_text())
    assert session["version"] == 2
    assert session["image"]["first_frame"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"version": 1, "frames": 6}',
        '{"version": "2", "frames": 6, "shape": [64, 64]}',
        '{"version": 1, "frames": 6, "shape": []}',
        '{"version": 0, "frames": 6, "shape": [64, 64]}',
        '{"version": 2, "image": {"shape": [6, 64, 64]}}',
        '{"version": 2, "image": {"shape": [6, "64", 64], "first_frame": ""}}',
    ],
)
def test_damaged_folder_is_refused(engine: Engine, folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "session.json").write_text(text)

    with pytest.raises(StorageError, match=r"cannot be read .*: choose another folder"):
        engine.open(MOVIE, folder=folder)


def test_folder_of_a_newer_version_is_refused(engine: Engine, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "session.json").write_text('{"version": 3}')

    with pytest.raises(StorageError, match="newer napari-sam3"):
        engine.open(MOVIE, folder=folder)


def test_folder_that_cannot_be_made_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "movie.sam3").write_text("a file")

    with pytest.raises(StorageError, match=r"movie\.sam3 cannot be read or written"):
        engine.open(MOVIE, folder=tmp_path / "movie.sam3")


@pytest.mark.parametrize("content", CUT_OFF)
def test_description_of_the_labels_that_was_cut_off_is_written_anew(
    engine: Engine, session: Session, folder: Path, content: bytes
) -> None:
    before = session.segment(0, CLICK)
    (folder / "labels.zarr" / "zarr.json").write_bytes(content)

    engine.open(MOVIE, folder).segment(1, CLICK)

    np.testing.assert_array_equal(stored(folder, 1)[0], before.pixels)
    assert stored(folder, 1)[1].any()


def test_labels_that_cannot_be_read_are_told(
    engine: Engine, session: Session, folder: Path
) -> None:
    session.segment(0, CLICK)
    (folder / "labels.zarr" / "object-1" / "0" / "zarr.json").write_text("{")

    with pytest.raises(StorageError, match=r"movie\.sam3 is damaged.*: choose another folder"):
        engine.open(MOVIE, folder).segment(1, CLICK)


def test_labels_of_another_type_are_told(session: Session, folder: Path) -> None:
    group = zarr.open_group(folder / "labels.zarr", mode="a").create_group("object-1")
    for name in ("0", "model"):
        group.create_array(name, shape=MOVIE.shape, dtype=np.float32)

    with pytest.raises(StorageError, match="holds something else"):
        session.segment(0, CLICK)


def test_something_else_in_the_place_of_the_labels_is_told(engine: Engine, folder: Path) -> None:
    zarr.create_array(folder / "labels.zarr", shape=(3,), dtype=np.uint8)

    with pytest.raises(StorageError, match="holds something else"):
        engine.open(MOVIE, folder)


def test_folder_that_another_process_begins_meanwhile_is_shared(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_meanwhile(monkeypatch)

    engine.open(MOVIE, folder).segment(0, CLICK)

    assert stored(folder, 1)[0].any()


def test_object_that_another_process_begins_meanwhile_is_shared(
    engine: Engine, session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_array = zarr.Group.create_array

    def overtaken(*arguments: Any, **settings: Any) -> zarr.Array:
        monkeypatch.setattr(zarr.Group, "create_array", create_array)
        engine.open(MOVIE, folder).segment(2, CLICK)
        return create_array(*arguments, **settings)

    monkeypatch.setattr(zarr.Group, "create_array", overtaken)
    session.segment(0, CLICK)

    assert stored(folder, 1)[0].any()
    assert stored(folder, 1)[2].any()


def test_no_draft_is_left_in_the_folder(session: Session, folder: Path) -> None:
    session.segment(0, CLICK)

    assert sorted(path.name for path in folder.iterdir()) == [
        "embeddings.zarr",
        "labels.zarr",
        "session.json",
    ]


def test_full_disk_is_told_and_the_mask_is_not_lost(
    session: Session, backend: DiskBackend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        fill_disk(full)
        with pytest.raises(StorageError, match=r"No room left on disk in .*; what is done is kept"):
            session.segment(0, CLICK)

    mask = session.segment(0, CLICK)

    assert backend.segmented == 1
    np.testing.assert_array_equal(stored(folder, 1)[0], mask.pixels)


def test_full_disk_ends_a_propagation_and_keeps_its_frames(
    session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = session.propagate({(0, 1): CLICK})
    kept = [next(masks), next(masks)]
    with monkeypatch.context() as full:
        fill_disk(full)
        with pytest.raises(StorageError, match="free some space"):
            next(masks)

    np.testing.assert_array_equal(stored(folder, 1)[:2], [mask.pixels for mask in kept])
    assert session.segment(4, CLICK).area > 0


class Blank:
    """A stack of large dark frames that nobody holds."""

    shape = (2, 5000, 4000)
    dtype = np.dtype(np.uint8)

    def __getitem__(self, index: tuple[int, slice, slice]) -> np.ndarray:
        rows, cols = index[1:]
        return np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.uint8)


def chunks_on_disk(folder: Path) -> set[str]:
    array = folder / "labels.zarr" / "object-1" / "0" / "c"
    return {path.relative_to(array).as_posix() for path in array.rglob("*") if path.is_file()}


def test_large_frame_has_chunks_where_the_object_is(engine: Engine, folder: Path) -> None:
    mask = engine.open(Blank(), folder).segment(1, Prompts(points=[(1024, 3000)]))

    assert chunks_on_disk(folder) == {"1/1/5", "1/2/5"}
    np.testing.assert_array_equal(stored(folder, 1)[(1, *mask.box.slices)], mask.crop)


@pytest.mark.parametrize("reopened", [False, True])
def test_mask_that_moves_leaves_nothing_behind(
    engine: Engine, folder: Path, reopened: bool
) -> None:
    session = engine.open(Blank(), folder)
    session.segment(1, Prompts(points=[(1024, 3000)]))
    session = engine.open(Blank(), folder) if reopened else session

    session.segment(1, Prompts(points=[(2500, 200)]))

    assert chunks_on_disk(folder) == {"1/4/0"}


@pytest.mark.parametrize("object_id", [0, -1, 2**32, "cell"])
def test_an_object_that_labels_cannot_hold_is_refused(session: Session, object_id: Any) -> None:
    with pytest.raises(StorageError, match="number the objects from 1"):
        session.segment(0, CLICK, object_id=object_id)


def test_an_object_beyond_16_bits_is_kept(session: Session, folder: Path) -> None:
    mask = session.segment(0, CLICK, object_id=70_000)

    np.testing.assert_array_equal(stored(folder, 70_000)[0] == 70_000, mask.pixels)


@pytest.mark.parametrize("image", [MOVIE[0], MOVIE[:1]])
def test_a_single_frame_has_no_axis_of_frames(
    engine: Engine, folder: Path, image: np.ndarray
) -> None:
    mask = engine.open(image, folder).segment(0, CLICK)

    np.testing.assert_array_equal(stored(folder, 1)[:] == 1, mask.pixels)

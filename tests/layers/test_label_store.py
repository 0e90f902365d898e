import errno
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from napari_sam3.engine import StorageError
from napari_sam3.layers.hand_edits import LabelPlane
from napari_sam3.layers.label_store import LabelArray, LabelStore


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "movie.sam3")


@pytest.fixture
def array(store: LabelStore) -> LabelArray:
    return store.create("object-1", (3, 12, 40, 50))


def plane(value: int, twin: int | None = None) -> LabelPlane:
    model = value if twin is None else twin
    return LabelPlane(np.full((40, 50), value, np.uint16), np.full((40, 50), model, np.uint16))


def files_of(array: LabelArray) -> list[Path]:
    return [file for file in array.folder.rglob("*") if file.is_file() and file.suffix != ".json"]


def refuse_chunks(monkeypatch: pytest.MonkeyPatch, outcomes: Iterable[bool]) -> None:
    """Let the disk take the next chunks, or be full, as the outcomes say; then be full."""
    there_is_room = iter(outcomes)
    put = LocalStore.set

    async def put_or_refuse(self: LocalStore, key: str, value: object) -> None:
        if not next(there_is_room, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        await put(self, key, value)

    monkeypatch.setattr(LocalStore, "set", put_or_refuse)


def test_nothing_is_on_disk_before_it_is_needed(store: LabelStore) -> None:
    assert not store.path.exists()


def test_a_frame_is_read_as_it_was_written(array: LabelArray) -> None:
    array.write((2, 11), plane(7, twin=3))

    frame = array.read((2, 11))
    assert (frame.shown == 7).all()
    assert (frame.model == 3).all()
    assert not array.read((2, 10)).shown.any()


def test_places_are_those_written_on(array: LabelArray) -> None:
    array.write((2, 11), plane(7))
    array.write((0, 3), plane(0, twin=7))
    array.write((0, 2), plane(7, twin=0))

    assert array.places() == [(0, 2), (0, 3), (2, 11)]


def test_a_single_image_has_the_empty_place(store: LabelStore) -> None:
    array = store.create("object-1", (40, 50))
    array.write((), plane(7))

    assert array.places() == [()]
    assert (array.read(()).shown == 7).all()


def test_every_frame_is_one_chunk(array: LabelArray) -> None:
    assert array.shown.chunks == (1, 1, 40, 50)


def test_an_empty_frame_costs_nothing(array: LabelArray) -> None:
    array.write((0, 0), plane(0))

    assert files_of(array) == []


def test_a_frame_that_becomes_empty_is_deleted(array: LabelArray) -> None:
    array.write((0, 0), plane(7))
    array.write((0, 0), plane(0))

    assert files_of(array) == []
    assert array.places() == []


def test_a_full_disk_is_one_clear_sentence(
    array: LabelArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_chunks(monkeypatch, [])

    with pytest.raises(StorageError, match=r"No room left on disk in .*labels\.zarr: free some"):
        array.write((0, 0), plane(7))


@pytest.mark.parametrize("outcomes", [[], [True, False, True]])
def test_on_a_full_disk_a_frame_stays_as_it_was(
    array: LabelArray, monkeypatch: pytest.MonkeyPatch, outcomes: list[bool]
) -> None:
    array.write((0, 0), plane(7))
    refuse_chunks(monkeypatch, outcomes)

    with pytest.raises(StorageError):
        array.write((0, 0), plane(8))

    frame = array.read((0, 0))
    assert (frame.shown == 7).all()
    assert (frame.model == 7).all()


def test_an_array_that_cannot_be_made_leaves_nothing(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuse_chunks(patch, [True, True])
        with pytest.raises(StorageError):
            store.create("object-1", (3, 40, 50))

    array = store.create("object-1", (3, 40, 50))
    assert array.places() == []


def test_a_folder_that_cannot_be_written_names_the_reason(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")

    with pytest.raises(StorageError, match="NAPARI_SAM3_CACHE set to another folder"):
        LabelStore(tmp_path / "taken").create("object-1", (3, 40, 50))


def test_labels_of_an_earlier_session_are_not_overwritten(store: LabelStore) -> None:
    store.create("object-1", (3, 40, 50)).write((0,), plane(7))

    with pytest.raises(StorageError, match="already holds labels named object-1"):
        LabelStore(store.path.parent).create("object-1", (3, 40, 50))


def test_a_name_that_is_taken_gets_a_number(store: LabelStore) -> None:
    names = []
    for _ in range(3):
        names.append(store.free_name("objects"))
        store.create(names[-1], (3, 40, 50))

    assert names == ["objects", "objects-2", "objects-3"]


def test_a_deleted_array_can_be_made_again(store: LabelStore) -> None:
    store.create("object-1", (3, 40, 50)).write((0,), plane(7))
    store.delete("object-1")

    assert store.create("object-1", (3, 40, 50)).places() == []


def test_labels_can_be_read_by_zarr_alone(store: LabelStore) -> None:
    store.create("object-1", (3, 40, 50)).write((1,), plane(7))

    labels = zarr.open_array(store.path / "object-1" / "0", mode="r")

    assert labels.dtype == np.uint16
    assert (labels[1] == 7).all()

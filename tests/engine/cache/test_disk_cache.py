from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_sam3.engine.backends.base import Packed
from napari_sam3.engine.cache import disk_cache as embedding_store
from napari_sam3.engine.cache import entries as embedding_entries
from napari_sam3.engine.cache.content_hash import Signature, pixels_digest, window_text
from napari_sam3.engine.cache.disk_cache import EmbeddingStore
from napari_sam3.engine.cache.quota import LEFT_BEHIND_S
from napari_sam3.engine.images.windows import Window
from tests.shared_folders import CUT_OFF, made_meanwhile

Use = Callable[[EmbeddingStore, Signature], Any]

SIGNED = Signature("revision", "contrast", "whole", "pixels")
NOISE = np.random.default_rng(0).random((3, 64, 64)).astype(np.float16)
PACKED = Packed({"fine": NOISE, "coarse": np.zeros((2, 2), np.uint16)}, {"scales": [1.0, 0.5]})


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "embeddings.zarr", 2**30)


def signed(number: int) -> Signature:
    return replace(SIGNED, pixels=str(number))


def entries(store: EmbeddingStore) -> list[Path]:
    return [path for path in store.folder.iterdir() if path.is_dir()]


def files(store: EmbeddingStore, pattern: str) -> list[Path]:
    return sorted({path for path in store.folder.rglob(pattern) if path.is_file()})


def use_at(store: EmbeddingStore, signature: Signature, second: float) -> None:
    os.utime(store.folder / signature.name, (second, second))


def test_what_was_put_is_read_again_in_another_session(store: EmbeddingStore) -> None:
    store.put(SIGNED, PACKED)

    read = EmbeddingStore(store.folder, 2**30).get(SIGNED)

    assert read is not None
    assert read.facts == PACKED.facts
    assert read.arrays.keys() == PACKED.arrays.keys()
    for name, array in PACKED.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array, strict=True)


def test_large_arrays_are_cut_and_come_back_whole(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_entries, "CHUNK_BYTES", 999)
    store.put(SIGNED, PACKED)

    read = store.get(SIGNED)

    assert len(files(store, "content/c/**/*")) > 20
    assert read is not None
    np.testing.assert_array_equal(read.arrays["fine"], NOISE)


def test_folder_is_a_group_of_zarr_that_tells_what_is_in_it(store: EmbeddingStore) -> None:
    store.put(SIGNED, PACKED)

    group = zarr.open_group(store.folder, mode="r")

    told = group[SIGNED.name].attrs
    assert told["signature"]["revision"] == "revision"
    assert told["parts"]["fine"]["shape"] == list(NOISE.shape)
    assert group[SIGNED.name]["content"].dtype == np.uint8


@pytest.mark.parametrize("part", ["revision", "contrast", "window", "pixels"])
def test_nothing_is_found_for_another_signature(store: EmbeddingStore, part: str) -> None:
    store.put(SIGNED, PACKED)
    other = replace(SIGNED, **{part: "other"})

    assert other not in store
    assert store.get(other) is None


def test_values_types_shapes_and_windows_are_told_apart() -> None:
    pixels = np.zeros((4, 6, 1), np.uint8)
    changed = pixels.copy()
    changed[3, 5] = 1

    digests = {
        pixels_digest(one)
        for one in (pixels, changed, pixels.view(np.int8), pixels.reshape(6, 4, 1))
    }
    windows = {window_text(one) for one in (None, Window(0, 0, 0, 4, 6), Window(1, 0, 0, 4, 6))}

    assert len(digests) == 4
    assert len(windows) == 3


def test_digest_of_a_cut_out_part_is_that_of_its_copy() -> None:
    part = np.arange(48, dtype=np.uint16).reshape(6, 8, 1)[1:4, 2:5]

    assert pixels_digest(part) == pixels_digest(part.copy())


@pytest.mark.parametrize("pattern", ["content/c/**/*", "content/zarr.json", "zarr.json"])
def test_flipped_byte_is_noticed_and_the_entry_removed(
    store: EmbeddingStore, caplog: pytest.LogCaptureFixture, pattern: str
) -> None:
    store.put(SIGNED, PACKED)
    file = files(store, f"{SIGNED.name}/{pattern}")[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    read = store.get(SIGNED)

    assert read is None
    assert entries(store) == []
    assert "is made again" in caplog.text


USES = [EmbeddingStore.get, EmbeddingStore.measure]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("pattern", ["content/c/**/*", "content/zarr.json", "zarr.json"])
@pytest.mark.parametrize("kept", [0, 10])
def test_file_that_was_cut_off_is_noticed(
    store: EmbeddingStore, use: Use, pattern: str, kept: int
) -> None:
    store.put(SIGNED, PACKED)
    file = files(store, f"{SIGNED.name}/{pattern}")[0]
    file.write_bytes(file.read_bytes()[:kept])

    assert use(store, SIGNED) is None
    assert entries(store) == []


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("pattern", ["content/c/**/*", "content/zarr.json", "zarr.json"])
def test_missing_file_is_noticed(store: EmbeddingStore, use: Use, pattern: str) -> None:
    store.put(SIGNED, PACKED)
    files(store, f"{SIGNED.name}/{pattern}")[0].unlink()

    assert use(store, SIGNED) is None
    assert entries(store) == []


def test_an_embedding_is_measured_without_being_read(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(SIGNED, PACKED)
    monkeypatch.setattr(zarr, "open_array", None)

    assert store.measure(SIGNED) == PACKED.nbytes
    assert store.measure(signed(1)) is None


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("place", [0, -1])
def test_missing_chunk_is_noticed_even_one_of_zeros(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch, use: Use, place: int
) -> None:
    monkeypatch.setattr(embedding_entries, "CHUNK_BYTES", 64)
    store.put(SIGNED, Packed({"zeros": np.zeros(64), "ones": np.ones(64)}, {}))
    files(store, "content/c/**/*")[place].unlink()

    assert use(store, SIGNED) is None


def test_entry_of_another_version_is_made_again(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(embedding_entries, "VERSION", 99)
        store.put(SIGNED, PACKED)

    assert store.get(SIGNED) is None
    store.put(SIGNED, PACKED)
    assert store.get(SIGNED) is not None


def test_bytes_on_disk_stay_below_their_bound(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 80_000)

    occupied = []
    for number in range(12):
        store.put(signed(number), PACKED)
        occupied.append(sum(path.stat().st_size for path in files(store, "*/**/*")))

    assert max(occupied) <= 80_000
    assert len(entries(store)) == 3
    assert store.nbytes == occupied[-1]


def test_what_was_not_used_for_the_longest_time_goes_first(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 80_000)
    for number in range(3):
        store.put(signed(number), PACKED)
        use_at(store, signed(number), number)
    store.get(signed(0))

    EmbeddingStore(tmp_path, 80_000).put(signed(3), PACKED)

    assert [number for number in range(4) if signed(number) in store] == [0, 2, 3]


def test_entry_larger_than_the_bound_is_not_written(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 1000)

    store.put(SIGNED, PACKED)

    assert entries(store) == []


def test_entry_that_another_process_has_written_stays(store: EmbeddingStore) -> None:
    other = EmbeddingStore(store.folder, 2**30)
    other.put(SIGNED, PACKED)

    store._write(store._quota.draft(), SIGNED, PACKED, None)
    store.put(SIGNED, PACKED)

    assert store.warning == ""
    assert store.get(SIGNED) is not None


def test_entry_that_another_process_has_removed_is_no_trouble(tmp_path: Path) -> None:
    store, other = EmbeddingStore(tmp_path, 80_000), EmbeddingStore(tmp_path, 80_000)
    for number in range(3):
        store.put(signed(number), PACKED)
    other._quota.remove(tmp_path / signed(0).name)

    store._quota.remove(tmp_path / signed(0).name)
    store.put(signed(3), PACKED)

    assert store.warning == ""
    assert signed(3) in store


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_disk_that_takes_no_more_is_told_once_and_leaves_nothing_half_written(
    store: EmbeddingStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    def begin(folder: Path, *_: object) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as full, caplog.at_level(logging.WARNING):
        full.setattr(embedding_store, "write_entry", begin)
        for number in range(3):
            store.put(signed(number), PACKED)

    assert entries(store) == []
    assert len(caplog.records) == 1
    assert ("no room" in store.warning) == (code == errno.ENOSPC)


def test_trouble_ends_when_there_is_room_again(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(embedding_store, "free_bytes", lambda _: 0)
        store.put(SIGNED, PACKED)
        told = store.warning

    store.put(SIGNED, PACKED)

    assert "no room left" in told
    assert store.warning == ""
    assert SIGNED in store


@pytest.mark.parametrize("content", CUT_OFF)
def test_description_that_was_cut_off_is_written_anew(
    store: EmbeddingStore, content: bytes
) -> None:
    store.put(SIGNED, PACKED)
    (store.folder / "zarr.json").write_bytes(content)

    reopened = EmbeddingStore(store.folder, 2**30)
    reopened.put(signed(1), PACKED)

    assert reopened.warning == ""
    assert reopened.get(SIGNED) is not None
    assert sorted(zarr.open_group(store.folder, mode="r")) == sorted([SIGNED.name, signed(1).name])


def test_folder_that_another_process_begins_meanwhile_is_shared(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_meanwhile(monkeypatch)

    store.put(SIGNED, PACKED)

    assert store.warning == ""
    assert SIGNED in store


def test_something_else_in_the_place_of_the_folder_is_told_and_stays(
    store: EmbeddingStore,
) -> None:
    zarr.create_array(store.folder, shape=(3,), dtype=np.uint8)

    store.put(SIGNED, PACKED)

    assert "An array already exists" in store.warning
    assert store.get(SIGNED) is None
    assert zarr.open_array(store.folder, mode="r").shape == (3,)


def test_file_in_the_place_of_the_folder_is_told(store: EmbeddingStore) -> None:
    store.folder.write_text("a file")

    store.put(SIGNED, PACKED)

    assert "cannot be written" in store.warning
    assert (store.nbytes, store.get(SIGNED), store.frames_of((1, 2, 3, 1), SIGNED)) == (0, None, [])


def test_what_an_ended_process_left_half_written_is_removed(tmp_path: Path) -> None:
    left, current = tmp_path / ".draft-1-left", tmp_path / ".draft-2-current"
    for draft in (left, current):
        draft.mkdir()
    os.utime(left, (0, current.stat().st_mtime - 2 * LEFT_BEHIND_S))

    EmbeddingStore(tmp_path, 2**30).put(SIGNED, PACKED)

    assert not left.exists()
    assert current.exists()


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let zarr find that Python ends, from now on."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    def begin() -> None:
        monkeypatch.setattr(embedding_entries, "_read_content", refuse)
        monkeypatch.setattr(embedding_store, "write_entry", refuse)

    return begin


def test_nothing_is_told_or_removed_while_python_ends(
    store: EmbeddingStore, ending: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    store.put(SIGNED, PACKED)
    ending()

    with caplog.at_level(logging.WARNING):
        found = store.get(SIGNED)
        store.put(signed(2), PACKED)

    assert found is None
    assert SIGNED in store
    assert signed(2) not in store
    assert (caplog.text, store.warning) == ("", "")

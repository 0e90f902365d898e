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
from napari_sam3.engine.cache import disk_cache, entries
from napari_sam3.engine.cache.content_hash import ContentHash, pixels_digest, window_text
from napari_sam3.engine.cache.disk_cache import EmbeddingStore
from napari_sam3.engine.cache.quota import ABANDONED_S
from napari_sam3.engine.images.windows import Window
from tests.shared_folders import CUT_OFF, made_meanwhile

Use = Callable[[EmbeddingStore, ContentHash], Any]

HASH = ContentHash("revision", "contrast", "whole", "pixels")
NOISE = np.random.default_rng(0).random((3, 64, 64)).astype(np.float16)
PACKED = Packed({"fine": NOISE, "coarse": np.zeros((2, 2), np.uint16)}, {"scales": [1.0, 0.5]})


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "embeddings.zarr", 2**30)


def hash_of(number: int) -> ContentHash:
    return replace(HASH, pixels=str(number))


def folders_of(store: EmbeddingStore) -> list[Path]:
    return [path for path in store.folder.iterdir() if path.is_dir()]


def files(store: EmbeddingStore, pattern: str) -> list[Path]:
    return sorted({path for path in store.folder.rglob(pattern) if path.is_file()})


def use_at(store: EmbeddingStore, content_hash: ContentHash, second: float) -> None:
    os.utime(store.folder / content_hash.name, (second, second))


def test_embedding_is_read_again_in_another_session(store: EmbeddingStore) -> None:
    store.put(HASH, PACKED)

    read = EmbeddingStore(store.folder, 2**30).get(HASH)

    assert read is not None
    assert read.facts == PACKED.facts
    assert read.arrays.keys() == PACKED.arrays.keys()
    for name, array in PACKED.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array, strict=True)


def test_large_arrays_are_cut_into_chunks_and_read_whole(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "CHUNK_BYTES", 999)
    store.put(HASH, PACKED)

    read = store.get(HASH)

    assert len(files(store, "content/c/**/*")) > 20
    assert read is not None
    np.testing.assert_array_equal(read.arrays["fine"], NOISE)


def test_folder_is_a_group_of_zarr_that_describes_its_entries(store: EmbeddingStore) -> None:
    store.put(HASH, PACKED)

    group = zarr.open_group(store.folder, mode="r")

    attributes = group[HASH.name].attrs
    assert attributes["signature"]["revision"] == "revision"
    assert attributes["parts"]["fine"]["shape"] == list(NOISE.shape)
    assert group[HASH.name]["content"].dtype == np.uint8


@pytest.mark.parametrize("part", ["revision", "contrast", "window", "pixels"])
def test_another_content_hash_has_no_entry(store: EmbeddingStore, part: str) -> None:
    store.put(HASH, PACKED)
    another = replace(HASH, **{part: "another"})

    assert another not in store
    assert store.get(another) is None


def test_values_types_shapes_and_windows_have_different_hashes() -> None:
    pixels = np.zeros((4, 6, 1), np.uint8)
    changed = pixels.copy()
    changed[3, 5] = 1

    digests = {
        pixels_digest(each)
        for each in (pixels, changed, pixels.view(np.int8), pixels.reshape(6, 4, 1))
    }
    windows = {window_text(each) for each in (None, Window(0, 0, 0, 4, 6), Window(1, 0, 0, 4, 6))}

    assert len(digests) == 4
    assert len(windows) == 3


def test_digest_of_a_view_is_that_of_its_copy() -> None:
    part = np.arange(48, dtype=np.uint16).reshape(6, 8, 1)[1:4, 2:5]

    assert pixels_digest(part) == pixels_digest(part.copy())


@pytest.mark.parametrize("pattern", ["content/c/**/*", "content/zarr.json", "zarr.json"])
def test_flipped_byte_is_detected_and_the_entry_removed(
    store: EmbeddingStore, caplog: pytest.LogCaptureFixture, pattern: str
) -> None:
    store.put(HASH, PACKED)
    file = files(store, f"{HASH.name}/{pattern}")[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    read = store.get(HASH)

    assert read is None
    assert folders_of(store) == []
    assert "is encoded again" in caplog.text


USES = [EmbeddingStore.get, EmbeddingStore.measure]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("pattern", ["content/c/**/*", "content/zarr.json", "zarr.json"])
@pytest.mark.parametrize("kept", [0, 10])
def test_file_that_was_cut_off_is_detected(
    store: EmbeddingStore, use: Use, pattern: str, kept: int
) -> None:
    store.put(HASH, PACKED)
    file = files(store, f"{HASH.name}/{pattern}")[0]
    file.write_bytes(file.read_bytes()[:kept])

    assert use(store, HASH) is None
    assert folders_of(store) == []


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("pattern", ["content/c/**/*", "content/zarr.json", "zarr.json"])
def test_missing_file_is_detected(store: EmbeddingStore, use: Use, pattern: str) -> None:
    store.put(HASH, PACKED)
    files(store, f"{HASH.name}/{pattern}")[0].unlink()

    assert use(store, HASH) is None
    assert folders_of(store) == []


def test_an_embedding_is_measured_without_being_read(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(HASH, PACKED)
    monkeypatch.setattr(zarr, "open_array", None)

    assert store.measure(HASH) == PACKED.nbytes
    assert store.measure(hash_of(1)) is None


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("position", [0, -1])
def test_missing_chunk_is_detected_even_one_of_zeros(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch, use: Use, position: int
) -> None:
    monkeypatch.setattr(entries, "CHUNK_BYTES", 64)
    store.put(HASH, Packed({"zeros": np.zeros(64), "ones": np.ones(64)}, {}))
    files(store, "content/c/**/*")[position].unlink()

    assert use(store, HASH) is None


def test_entry_of_another_version_is_written_again(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(entries, "VERSION", 99)
        store.put(HASH, PACKED)

    assert store.get(HASH) is None
    store.put(HASH, PACKED)
    assert store.get(HASH) is not None


def test_bytes_on_disk_stay_within_the_quota(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 80_000)

    nbytes = []
    for number in range(12):
        store.put(hash_of(number), PACKED)
        nbytes.append(sum(path.stat().st_size for path in files(store, "*/**/*")))

    assert max(nbytes) <= 80_000
    assert len(folders_of(store)) == 3
    assert store.nbytes == nbytes[-1]


def test_least_recently_used_entry_is_removed_first(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 80_000)
    for number in range(3):
        store.put(hash_of(number), PACKED)
        use_at(store, hash_of(number), number)
    store.get(hash_of(0))

    EmbeddingStore(tmp_path, 80_000).put(hash_of(3), PACKED)

    assert [number for number in range(4) if hash_of(number) in store] == [0, 2, 3]


def test_entry_larger_than_the_quota_is_not_written(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 1000)

    store.put(HASH, PACKED)

    assert folders_of(store) == []


def test_entry_that_another_process_has_written_stays(store: EmbeddingStore) -> None:
    second = EmbeddingStore(store.folder, 2**30)
    second.put(HASH, PACKED)

    store._write(store._quota.draft_folder(), HASH, PACKED, None)
    store.put(HASH, PACKED)

    assert store.warning == ""
    assert store.get(HASH) is not None


def test_entry_that_another_process_has_removed_is_no_error(tmp_path: Path) -> None:
    store, second = EmbeddingStore(tmp_path, 80_000), EmbeddingStore(tmp_path, 80_000)
    for number in range(3):
        store.put(hash_of(number), PACKED)
    second._quota.remove(tmp_path / hash_of(0).name)

    store._quota.remove(tmp_path / hash_of(0).name)
    store.put(hash_of(3), PACKED)

    assert store.warning == ""
    assert hash_of(3) in store


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_full_disk_warns_once_and_leaves_nothing_half_written(
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
        full.setattr(disk_cache, "write_entry", begin)
        for number in range(3):
            store.put(hash_of(number), PACKED)

    assert folders_of(store) == []
    assert len(caplog.records) == 1
    assert ("no room" in store.warning) == (code == errno.ENOSPC)


def test_warning_ends_when_space_is_free_again(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(disk_cache, "free_bytes", lambda _: 0)
        store.put(HASH, PACKED)
        warning = store.warning

    store.put(HASH, PACKED)

    assert "no room left" in warning
    assert store.warning == ""
    assert HASH in store


@pytest.mark.parametrize("content", CUT_OFF)
def test_description_that_was_cut_off_is_written_anew(
    store: EmbeddingStore, content: bytes
) -> None:
    store.put(HASH, PACKED)
    (store.folder / "zarr.json").write_bytes(content)

    reopened = EmbeddingStore(store.folder, 2**30)
    reopened.put(hash_of(1), PACKED)

    assert reopened.warning == ""
    assert reopened.get(HASH) is not None
    assert sorted(zarr.open_group(store.folder, mode="r")) == sorted([HASH.name, hash_of(1).name])


def test_folder_that_another_process_begins_meanwhile_is_shared(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_meanwhile(monkeypatch)

    store.put(HASH, PACKED)

    assert store.warning == ""
    assert HASH in store


def test_array_instead_of_the_folder_is_reported_and_stays(
    store: EmbeddingStore,
) -> None:
    zarr.create_array(store.folder, shape=(3,), dtype=np.uint8)

    store.put(HASH, PACKED)

    assert "An array already exists" in store.warning
    assert store.get(HASH) is None
    assert zarr.open_array(store.folder, mode="r").shape == (3,)


def test_file_instead_of_the_folder_is_reported(store: EmbeddingStore) -> None:
    store.folder.write_text("a file")

    store.put(HASH, PACKED)

    assert "cannot be written" in store.warning
    assert (store.nbytes, store.get(HASH), store.frames_of((1, 2, 3, 1), HASH)) == (0, None, [])


def test_draft_of_an_ended_process_is_removed(tmp_path: Path) -> None:
    abandoned, current = tmp_path / ".draft-1-abandoned", tmp_path / ".draft-2-current"
    for draft in (abandoned, current):
        draft.mkdir()
    os.utime(abandoned, (0, current.stat().st_mtime - 2 * ABANDONED_S))

    EmbeddingStore(tmp_path, 2**30).put(HASH, PACKED)

    assert not abandoned.exists()
    assert current.exists()


@pytest.fixture
def exiting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let zarr fail from now on as it does while Python exits."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    def begin() -> None:
        monkeypatch.setattr(entries, "_read_content", refuse)
        monkeypatch.setattr(disk_cache, "write_entry", refuse)

    return begin


def test_nothing_is_reported_or_removed_while_python_exits(
    store: EmbeddingStore, exiting: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    store.put(HASH, PACKED)
    exiting()

    with caplog.at_level(logging.WARNING):
        read = store.get(HASH)
        store.put(hash_of(2), PACKED)

    assert read is None
    assert HASH in store
    assert hash_of(2) not in store
    assert (caplog.text, store.warning) == ("", "")

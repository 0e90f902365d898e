from __future__ import annotations

import errno
import logging
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
import zarr.storage

from napari_sam3.engine import Budgets, Channel, Contrast, Engine, Frames, Prompts
from napari_sam3.engine.backends.base import Packed
from napari_sam3.engine.cache import disk_cache, entries
from napari_sam3.engine.cache.content_hash import ContentHash
from napari_sam3.engine.cache.disk_cache import EmbeddingStore
from napari_sam3.engine.cache.quota import ABANDONED_S
from tests.backends import DiskBackend, disk_frames
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


CLICK = Prompts(points=[(30, 12)])
MOVIE = disk_frames([(30, 10 + 4 * index) for index in range(8)])
CONTRAST = Contrast((Channel((0, 255)),))
BUDGETS = Budgets(2**20, disk=2**24)


class CountingStore(zarr.storage.WrapperStore):
    """Counts how often a chunk is read."""

    chunk_reads = 0

    async def get(self, key, prototype, byte_range=None):
        self.chunk_reads += "c/" in key
        return await super().get(key, prototype, byte_range)


def stored_movie(store: CountingStore, movie: np.ndarray) -> zarr.Array:
    shape, chunks = movie.shape, (1, *movie.shape[1:])
    array = zarr.create_array(store, shape=shape, chunks=chunks, dtype=movie.dtype)
    array[:] = movie
    store.chunk_reads = 0
    return array


def propagate(
    folder: Path,
    movie: np.ndarray = MOVIE,
    contrast: Contrast | None = None,
    revision: str = "1",
) -> DiskBackend:
    """Open a stack in an engine of its own, propagate through it, and end."""
    backend = DiskBackend(revision=revision)
    engine = engine_with_folder(folder, backend)
    list(engine.open(movie, contrast=contrast).propagate({(0, 1): CLICK}))
    engine.close()
    return backend


def engine_with_folder(folder: Path, backend: DiskBackend) -> Engine:
    """Return an engine that keeps the embeddings of all stacks in a folder."""
    engine = Engine(backend, BUDGETS)
    engine.embeddings.set_default_folder(folder / "embeddings.zarr")
    return engine


def test_propagated_stack_is_not_encoded_again(tmp_path: Path) -> None:
    first = propagate(tmp_path)

    again = propagate(tmp_path, MOVIE.copy())

    assert (first.encoded, again.encoded) == (len(MOVIE), 0)


def test_every_frame_is_read_once_to_recognise_it(tmp_path: Path) -> None:
    propagate(tmp_path)
    store = CountingStore(zarr.storage.MemoryStore())

    backend = propagate(tmp_path, stored_movie(store, MOVIE))

    assert (backend.encoded, store.chunk_reads) == (0, len(MOVIE))


def test_every_frame_is_read_once_when_it_is_new(tmp_path: Path) -> None:
    store = CountingStore(zarr.storage.MemoryStore())

    backend = propagate(tmp_path, stored_movie(store, MOVIE))

    assert (backend.encoded, store.chunk_reads) == (len(MOVIE), len(MOVIE))


def test_masks_of_a_reopened_stack_are_the_same(tmp_path: Path) -> None:
    masks = []
    for _ in range(2):
        engine = Engine(DiskBackend(), BUDGETS)
        masks.append(list(engine.open(MOVIE, tmp_path).propagate({(0, 1): CLICK})))
        engine.close()

    for first, again in zip(*masks, strict=True):
        np.testing.assert_array_equal(first.pixels, again.pixels)


def test_encoding_uses_embeddings_on_disk(tmp_path: Path) -> None:
    propagate(tmp_path)
    backend = DiskBackend()
    session = Engine(backend, BUDGETS).open(MOVIE, tmp_path)

    done = list(session.encode())

    assert (done, backend.encoded) == (list(range(len(MOVIE))), 0)


def test_frames_in_another_order_are_recognised(tmp_path: Path) -> None:
    propagate(tmp_path)

    backend = propagate(tmp_path, MOVIE[::-1], CONTRAST)
    turned = propagate(tmp_path, MOVIE[::-1][:8], CONTRAST)

    assert backend.encoded > 0
    assert turned.encoded == 0


def test_only_changed_pixels_are_encoded_again(tmp_path: Path) -> None:
    propagate(tmp_path, MOVIE, CONTRAST)
    changed = MOVIE.copy()
    changed[3, 0, 0] += 1

    backend = propagate(tmp_path, changed, CONTRAST)

    assert backend.encoded == 1


def test_changed_contrast_encodes_again(tmp_path: Path) -> None:
    propagate(tmp_path)

    backend = propagate(tmp_path, contrast=Contrast((Channel((0, 240)),)))

    assert backend.encoded == len(MOVIE)


def test_changed_model_encodes_again(tmp_path: Path) -> None:
    propagate(tmp_path)

    backend = propagate(tmp_path, revision="2")

    assert backend.encoded == len(MOVIE)


def test_damaged_entries_alone_are_encoded_again(tmp_path: Path) -> None:
    propagate(tmp_path)
    chunks = sorted(
        path for path in tmp_path.glob("embeddings.zarr/*/content/c/**/*") if path.is_file()
    )
    chunks[0].write_bytes(chunks[0].read_bytes()[:-1])
    flipped = bytearray(chunks[1].read_bytes())
    flipped[5] ^= 1
    chunks[1].write_bytes(flipped)

    backend, later = propagate(tmp_path), propagate(tmp_path)

    assert (backend.encoded, later.encoded) == (2, 0)


def test_full_disk_is_survived_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_cache, "free_bytes", lambda _: 0)
    backend = DiskBackend()
    engine = Engine(backend, BUDGETS)

    masks = list(engine.open(MOVIE, tmp_path).propagate({(0, 1): CLICK}))
    engine.embeddings.finish()

    assert (len(masks), backend.encoded) == (len(MOVIE), len(MOVIE))
    assert "no room left" in engine.embeddings.warning
    assert not (tmp_path / "embeddings.zarr").exists()


def test_opening_a_stack_twice_keeps_one_entry_for_each_frame(tmp_path: Path) -> None:
    backend = DiskBackend()
    engine = Engine(backend, BUDGETS)
    for movie in (MOVIE, MOVIE.copy()):
        list(engine.open(Frames.from_array(movie), tmp_path).propagate({(0, 1): CLICK}))
        engine.embeddings.finish()

    assert backend.encoded == len(MOVIE)


def use_together(folder: Path, seed: int) -> int:
    """Write and read entries in a random order, and return how many were read wrong."""
    store = EmbeddingStore(folder, 20_000)  # about five entries, so that they evict each other
    wrong = 0
    for number in np.random.default_rng(seed).integers(0, 12, 40).tolist():
        read = store.get(hash_of(number))
        if read is None:
            store.put(hash_of(number), Packed({"all": np.full((32, 32), number)}, {}))
        elif (read.arrays["all"] != number).any():
            wrong += 1
    return wrong + bool(store.warning)


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    EmbeddingStore(tmp_path, 20_000).put(HASH, Packed({"all": np.zeros((32, 32))}, {}))

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        wrong = pool.starmap(use_together, [(tmp_path, 1), (tmp_path, 2)])

    assert wrong == [0, 0]
    assert list(tmp_path.glob(".draft*")) == []


def propagate_in_another_process(folder: Path) -> int:
    return propagate(folder).encoded


def test_embeddings_of_a_process_are_read_by_another(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        elsewhere = pool.apply(propagate_in_another_process, (tmp_path,))

    here = propagate(tmp_path)

    assert (elsewhere, here.encoded) == (len(MOVIE), 0)


def test_frames_on_disk_are_recognised_and_only_those_are_read(tmp_path: Path) -> None:
    engine = engine_with_folder(tmp_path, DiskBackend())
    list(engine.open(MOVIE, contrast=CONTRAST).encode([1, 4, 5]))
    engine.close()
    store = CountingStore(zarr.storage.MemoryStore())
    backend = DiskBackend()
    session = engine_with_folder(tmp_path, backend).open(
        stored_movie(store, MOVIE), contrast=CONTRAST
    )

    before = [frame for frame in range(len(MOVIE)) if session.is_ready(frame)]
    read = list(session.prefetch.recognise())

    assert before == []
    assert read == [1, 4, 5]
    assert all(session.is_ready(frame) for frame in read)
    assert (backend.encoded, store.chunk_reads) == (0, 3)
    assert not session.prefetch.is_worth_recognising


def test_stack_of_the_same_shape_is_read_but_not_confused(
    tmp_path: Path,
) -> None:
    engine = engine_with_folder(tmp_path, DiskBackend())
    list(engine.open(MOVIE, contrast=CONTRAST).encode([2, 3]))
    engine.close()
    session = engine_with_folder(tmp_path, DiskBackend()).open(
        MOVIE[::-1].copy(), contrast=CONTRAST
    )

    assert list(session.prefetch.recognise()) == [2, 3]
    assert not any(session.is_ready(frame) for frame in range(len(MOVIE)))


@pytest.mark.parametrize("changed", ["shape", "revision", "contrast"])
def test_nothing_is_read_where_no_entry_can_belong_to_the_stack(
    tmp_path: Path, changed: str
) -> None:
    propagate(tmp_path, contrast=CONTRAST)
    movie = MOVIE[:-1] if changed == "shape" else MOVIE
    contrast = Contrast((Channel((0, 99)),)) if changed == "contrast" else CONTRAST
    engine = engine_with_folder(
        tmp_path, DiskBackend(revision="2" if changed == "revision" else "1")
    )

    session = engine.open(movie, contrast=contrast)

    assert session.prefetch.is_worth_recognising
    assert list(session.prefetch.recognise()) == []

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import zarr
import zarr.storage

from napari_sam3.engine import Budgets, Channel, Contrast, Engine, Frames, Prompts
from napari_sam3.engine.backends.base import Packed
from napari_sam3.engine.cache import disk_cache
from napari_sam3.engine.cache.disk_cache import EmbeddingStore
from tests.backends import DiskBackend, disk_frames
from tests.engine.cache.test_disk_cache import HASH, hash_of

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

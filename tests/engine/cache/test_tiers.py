from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from napari_sam3.engine import Budgets, Channel, Contrast, Engine, Frames, Prompts
from napari_sam3.engine.cache.tiers import Writer
from napari_sam3.engine.images.frames import Window
from napari_sam3.engine.images.model_input import ModelInput
from napari_sam3.engine.model import Model
from napari_sam3.engine.scheduling import BatchEncoder
from tests.backends import DiskBackend, DiskEmbedding

CONTRAST = Contrast((Channel((0, 255)),))
FRAMES = 6
EMBEDDING_BYTES = 16 * 16 * 4  # bytes of an embedding


class Stack:
    """Frames of 16 x 16 pixels, each of another brightness; `reads` counts."""

    def __init__(self, count: int = FRAMES) -> None:
        self.reads = 0
        self.frames = Frames(count, (16, 16), 1, self._read)

    def __getitem__(self, frame: int) -> ModelInput:
        return ModelInput(self.frames, CONTRAST, frame)

    def _read(self, frame: int) -> np.ndarray:
        self.reads += 1
        return np.full((16, 16, 1), frame, np.uint16)


@pytest.fixture
def stack() -> Stack:
    return Stack()


@pytest.fixture
def gpu() -> DiskBackend:
    return DiskBackend(device="cuda")


def embeddings_of(model: Model, *model_inputs: ModelInput) -> list[DiskEmbedding]:
    embeddings = []
    for model_input in model_inputs:
        with model.embedding(model_input, model.turns.interactive()) as embedding:
            embeddings.append(embedding)
    return embeddings


def test_embeddings_evicted_from_the_device_are_packed_into_memory(
    stack: Stack, gpu: DiskBackend
) -> None:
    model = Model(gpu, Budgets(memory=10 * EMBEDDING_BYTES, device=2 * EMBEDDING_BYTES))

    embeddings_of(model, *map(stack.__getitem__, range(5)))

    embeddings = model.embeddings
    assert (embeddings.on_device.nbytes, embeddings.in_memory.nbytes) == (
        2 * EMBEDDING_BYTES,
        3 * EMBEDDING_BYTES,
    )
    assert (len(embeddings), gpu.packed) == (5, 3)


def test_embedding_in_memory_is_neither_read_nor_encoded_again(
    stack: Stack, gpu: DiskBackend
) -> None:
    model = Model(gpu, Budgets(memory=10 * EMBEDDING_BYTES, device=EMBEDDING_BYTES))
    first = embeddings_of(model, *map(stack.__getitem__, range(5)))

    again = embeddings_of(model, *map(stack.__getitem__, range(5)))

    assert (stack.reads, gpu.encoded) == (5, 5)
    for before, after in zip(first, again, strict=True):
        np.testing.assert_array_equal(before.grey, after.grey)


def test_packed_embedding_is_not_packed_again(stack: Stack, gpu: DiskBackend) -> None:
    model = Model(gpu, Budgets(memory=10 * EMBEDDING_BYTES, device=EMBEDDING_BYTES))

    for _ in range(3):
        embeddings_of(model, *map(stack.__getitem__, range(5)))

    assert gpu.packed == 5


def test_every_tier_keeps_to_its_budget(stack: Stack, gpu: DiskBackend, tmp_path: Path) -> None:
    model = Model(
        gpu, Budgets(memory=2 * EMBEDDING_BYTES, device=3 * EMBEDDING_BYTES + 5, disk=12_000)
    )
    model.embeddings.set_folder(stack.frames, tmp_path)

    nbytes = []
    for frame in (0, 1, 2, 3, 1, 4, 5, 0, 3):
        embeddings_of(model, stack[frame])
        model.embeddings.finish()
        tiers = model.embeddings
        nbytes.append((tiers.on_device.nbytes, tiers.in_memory.nbytes, tiers.on_disk))

    most = np.max(nbytes, axis=0)
    assert tuple(most[:2]) == (3 * EMBEDDING_BYTES, 2 * EMBEDDING_BYTES)
    assert 5_000 < most[2] <= 12_000


def test_embedding_too_large_for_the_device_goes_to_memory(stack: Stack, gpu: DiskBackend) -> None:
    model = Model(gpu, Budgets(memory=10 * EMBEDDING_BYTES, device=EMBEDDING_BYTES - 1))

    embeddings_of(model, stack[0], stack[1], stack[0])

    assert (gpu.encoded, model.embeddings.on_device.nbytes) == (2, 0)


def test_memory_of_the_cpu_is_one_tier_without_copies(stack: Stack) -> None:
    backend = DiskBackend()
    model = Model(backend, Budgets(memory=2 * EMBEDDING_BYTES, device=99 * EMBEDDING_BYTES))

    embeddings_of(model, *map(stack.__getitem__, range(5)))

    assert (model.embeddings.max_bytes, model.embeddings.nbytes) == (
        2 * EMBEDDING_BYTES,
        2 * EMBEDDING_BYTES,
    )
    assert backend.packed == 0


def test_nothing_is_written_without_a_folder(stack: Stack, cache: Path) -> None:
    model = Model(DiskBackend(), Budgets(2**20, disk=2**20))

    embeddings_of(model, stack[0])
    model.embeddings.finish()

    assert model.embeddings.on_disk == 0
    assert not cache.exists()


def test_evicted_embedding_comes_from_disk_without_reading_its_frame_again(
    stack: Stack, tmp_path: Path
) -> None:
    backend = DiskBackend()
    model = Model(backend, Budgets(memory=EMBEDDING_BYTES, disk=2**20))
    model.embeddings.set_folder(stack.frames, tmp_path)
    embeddings_of(model, *map(stack.__getitem__, range(FRAMES)))
    model.embeddings.finish()

    embeddings_of(model, *map(stack.__getitem__, range(FRAMES)))

    assert (stack.reads, backend.encoded) == (FRAMES, FRAMES)


@pytest.mark.parametrize("prefetch", [False, True])
def test_changed_pixels_are_not_kept_under_their_old_hash(tmp_path: Path, prefetch: bool) -> None:
    pixels = np.zeros((3, 16, 16), np.uint8)
    frames, backend = Frames.from_array(pixels), DiskBackend()
    model = Model(backend, Budgets(memory=EMBEDDING_BYTES, disk=2**20))
    model.embeddings.set_folder(frames, tmp_path)
    brighter = Contrast((Channel((0, 200)),))
    embeddings_of(model, ModelInput(frames, CONTRAST, 0))

    pixels[0] = 200  # a microscope has recorded this frame
    if prefetch:
        model.encode([ModelInput(frames, brighter, 0)], model.turns.background())
    embeddings_of(model, ModelInput(frames, brighter, 0))
    model.embeddings.finish()
    [blank] = embeddings_of(model, ModelInput(frames, brighter, 1))

    assert not blank.grey.any()
    assert backend.encoded == 3


def test_windows_of_a_frame_are_kept_by_their_own_pixels(tmp_path: Path) -> None:
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(1, 64, 64)
    windows = [Window(0, top, 0, 32, 32) for top in (0, 32)]
    encoded = []
    for _ in range(2):
        backend, frames = DiskBackend(), Frames.from_array(pixels)
        model = Model(backend, Budgets(0, disk=2**20))
        model.embeddings.set_folder(frames, tmp_path)
        embeddings_of(model, *(ModelInput(frames, CONTRAST, 0, window) for window in windows))
        model.close()
        encoded.append(backend.images)

    assert encoded == [[(32, 32, 3)] * 2, []]


def test_ready_frames_are_known_without_reading(stack: Stack, tmp_path: Path) -> None:
    model = Model(DiskBackend(), Budgets(memory=EMBEDDING_BYTES, disk=2**20))
    model.embeddings.set_folder(stack.frames, tmp_path)
    embeddings_of(model, stack[1], stack[2])
    model.embeddings.finish()

    ready = [frame for frame in range(FRAMES) if model.is_ready(stack[frame])]

    assert (ready, stack.reads) == ([1, 2], 2)


def test_embedding_is_written_after_the_turn(stack: Stack, tmp_path: Path) -> None:
    model = Model(DiskBackend(), Budgets(memory=EMBEDDING_BYTES, disk=2**20))
    model.embeddings.set_folder(stack.frames, tmp_path)

    with pytest.raises(RuntimeError), model.embedding(stack[0], model.turns.interactive()):
        raise RuntimeError
    model.embeddings.finish()

    assert model.embeddings.on_disk > 0


def test_closed_model_has_written_everything(stack: Stack, tmp_path: Path) -> None:
    model = Model(DiskBackend(), Budgets(memory=EMBEDDING_BYTES, disk=2**20))
    model.embeddings.set_folder(stack.frames, tmp_path)
    embeddings_of(model, *map(stack.__getitem__, range(FRAMES)))

    model.close()

    assert (len(model.embeddings), model.embeddings.nbytes) == (0, 0)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == FRAMES


def test_every_frame_is_read_once_while_batches_become_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = itertools.cycle((4, 1, 1, 2))
    monkeypatch.setattr(BatchEncoder, "size", lambda *_: next(sizes))
    stack, gpu = Stack(40), DiskBackend(bright=-1, reach=99)
    session = Engine(gpu).open(stack.frames, contrast=CONTRAST)

    list(session.propagate({(0, 1): Prompts(points=[(8, 8)])}))

    assert (stack.reads, gpu.encoded) == (40, 40)


def test_propagation_of_many_frames_leaves_memory_flat() -> None:
    stack, gpu = Stack(300), DiskBackend(device="cuda", bright=-1, reach=99)
    engine = Engine(gpu, Budgets(memory=3 * EMBEDDING_BYTES, device=2 * EMBEDDING_BYTES))
    session = engine.open(stack.frames, contrast=CONTRAST)

    masks = session.propagate({(0, 1): Prompts(points=[(8, 8)])})
    nbytes = [engine.embeddings.nbytes for _ in masks]

    assert (len(nbytes), stack.reads, gpu.encoded) == (300, 300, 300)
    assert max(nbytes) == 5 * EMBEDDING_BYTES


WAIT_S = 10


def test_embeddings_are_written_in_their_order() -> None:
    writer, written = Writer(), []

    for number in range(5):
        writer.submit(lambda number=number: written.append(number))
    writer.close()

    assert written == [0, 1, 2, 3, 4]


def test_third_write_waits_for_the_first() -> None:
    writer, may_write, written = Writer(), Event(), []

    def write() -> None:
        assert may_write.wait(WAIT_S)
        written.append(1)

    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            writer.submit(write)
        third = pool.submit(writer.submit, write)
        before = written.copy()
        may_write.set()
        third.result(WAIT_S)
        after = written.copy()
    writer.close()

    assert before == []
    assert len(after) >= 1
    assert len(written) == 3


def test_error_of_a_write_is_raised_later() -> None:
    writer = Writer()
    writer.submit(lambda: [][0])

    with pytest.raises(IndexError):
        writer.finish()
    writer.close()


def test_closed_writer_can_be_used_again() -> None:
    writer, written = Writer(), []
    writer.close()

    writer.submit(lambda: written.append(1))
    writer.close()

    assert written == [1]

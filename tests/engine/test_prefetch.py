"""Reading and encoding frames before they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, get_ident

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_sam3.engine import (
    Channel,
    Contrast,
    Engine,
    Frames,
    FramesError,
    Prompts,
    Sam3Error,
    Session,
)
from napari_sam3.engine.cache.budgets import Budgets
from napari_sam3.engine.images.model_input import ModelInput
from napari_sam3.engine.prefetch import FrameReader, order_around, reach_within
from napari_sam3.engine.progress import advance
from napari_sam3.engine.propagation import ABSENT_FRAMES
from napari_sam3.engine.scheduling import Cost
from tests.backends import DiskBackend, DiskEmbedding, disk_frames
from tests.engine.test_scheduling import WAIT_S, waiting_for_a_turn
from tests.engine.test_session import CountingStore

MOVIE = disk_frames([(30, 10 + 4 * index) for index in range(10)])
CLICK = Prompts(points=[(30, 12)])
BUDGETS = Budgets(memory=2**24, disk=2**24)


class HeldBackend(DiskBackend):
    """Begins to encode an image, and goes on to its second step when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.is_encoding = Event()
        self.may_go_on = Event()

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        self.begun += 1
        advance(0, 2)
        self.is_encoding.set()
        assert self.may_go_on.wait(WAIT_S)
        advance(1, 2)
        return super().encode(image)


@pytest.fixture
def held() -> HeldBackend:
    return HeldBackend()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def click(pool: ThreadPoolExecutor, session: Session, frame: int) -> Future:
    """Click on a frame, and return once that waits for its turn."""
    turns = session._model.turns
    return waiting_for_a_turn(pool, turns, partial(session.segment, frame, CLICK))


def test_all_frames_are_encoded_once(engine: Engine, backend: DiskBackend) -> None:
    session = engine.open(MOVIE)

    encoded = list(session.encode())

    assert encoded == list(range(10))
    assert backend.encoded == 10
    assert all(session.is_ready(frame) for frame in range(10))


def test_frames_that_are_ready_are_left_out(engine: Engine, backend: DiskBackend) -> None:
    session = engine.open(MOVIE)
    session.segment(3, CLICK)

    encoded = list(session.encode([2, 3, 4, 2]))

    assert encoded == [2, 4]
    assert backend.encoded == 3


def test_click_on_a_frame_that_is_ready_encodes_nothing(
    engine: Engine, backend: DiskBackend
) -> None:
    session = engine.open(MOVIE)
    list(session.encode([5]))

    session.segment(5, CLICK)

    assert backend.encoded == 1


def test_stopped_encoding_is_resumed_where_it_was(engine: Engine, backend: DiskBackend) -> None:
    session = engine.open(MOVIE)
    with closing(session.encode()) as frames:
        kept = [next(frames) for _ in range(4)]

    rest = list(session.encode())

    assert (kept, rest) == ([0, 1, 2, 3], [4, 5, 6, 7, 8, 9])
    assert backend.encoded == 10


def test_each_chunk_is_read_once(engine: Engine) -> None:
    store = CountingStore()
    movie = zarr.create_array(store, shape=MOVIE.shape, chunks=(1, 64, 64), dtype=MOVIE.dtype)
    movie[:] = MOVIE
    store.chunk_reads = 0

    list(engine.open(movie).encode())

    assert store.chunk_reads == len(MOVIE)


def test_frame_that_cannot_be_read_ends_encoding_there(engine: Engine) -> None:
    def read(frame: int) -> NDArray[np.uint8]:
        if frame == 2:
            raise OSError("the disk is gone")
        return MOVIE[frame][..., None]

    session = engine.open(Frames(10, (64, 64), 1, read))
    frames = session.encode()

    encoded = [next(frames), next(frames)]

    assert encoded == [0, 1]
    with pytest.raises(FramesError, match="Frame 2 cannot be read"):
        next(frames)


def test_frame_outside_the_stack_is_refused_before_it_starts(engine: Engine) -> None:
    session = engine.open(MOVIE)

    with pytest.raises(FramesError, match="no frame 10"):
        session.encode([0, 10])


def test_closed_session_encodes_no_further(engine: Engine) -> None:
    session = engine.open(MOVIE)
    frames = session.encode()
    next(frames)

    session.close()

    with pytest.raises(Sam3Error, match="session is closed"):
        next(frames)


def test_cost_of_a_frame_is_known_after_the_first(engine: Engine) -> None:
    session = engine.open(MOVIE)
    unknown = session.prefetch.cost

    next(session.encode())

    assert unknown is None
    assert session.prefetch.cost is not None
    assert session.prefetch.cost.nbytes == 64 * 64 * 4


def test_reopened_stack_encodes_nothing_and_knows_how_large_its_frames_are(
    backend: DiskBackend, tmp_path: Path
) -> None:
    first = Engine(backend, BUDGETS).open(MOVIE, tmp_path / "movie.sam3")
    list(first.encode())
    first.close()
    again = Engine(backend, BUDGETS).open(MOVIE, tmp_path / "movie.sam3")

    encoded = list(again.encode())

    assert encoded == list(range(10))
    assert backend.encoded == 10
    assert again.prefetch.cost == Cost(None, 64 * 64 * 4)
    assert again._model.embeddings.nbytes == 0  # they stay on disk until they are needed


def test_what_was_cut_off_on_disk_is_encoded_again(backend: DiskBackend, tmp_path: Path) -> None:
    first = Engine(backend, BUDGETS).open(MOVIE, tmp_path / "movie.sam3")
    list(first.encode())
    first.close()
    chunk = next(path for path in tmp_path.rglob("content/c/*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1])
    again = Engine(backend, BUDGETS).open(MOVIE, tmp_path / "movie.sam3")

    encoded = list(again.encode())

    assert encoded == list(range(10))
    assert backend.encoded == 11


def test_reopened_frames_are_read_once(backend: DiskBackend, tmp_path: Path) -> None:
    first = Engine(backend, BUDGETS).open(MOVIE, tmp_path / "movie.sam3")
    list(first.encode(range(5)))
    first.close()
    counting = CountingStore()
    array = zarr.create_array(counting, shape=MOVIE.shape, chunks=(1, 64, 64), dtype=MOVIE.dtype)
    array[:] = MOVIE
    counting.chunk_reads = 0
    again = Engine(backend, BUDGETS).open(array, tmp_path / "movie.sam3")

    list(again.encode())

    assert backend.encoded == 10
    assert counting.chunk_reads == 10


def test_click_on_another_frame_goes_before_what_is_encoded(
    held: HeldBackend, pool: ThreadPoolExecutor
) -> None:
    session = Engine(held).open(MOVIE)
    prefetch = pool.submit(list, session.encode([7]))
    assert held.is_encoding.wait(WAIT_S)

    clicked = click(pool, session, 0)
    held.may_go_on.set()

    assert clicked.result(WAIT_S).area > 0
    assert prefetch.result(WAIT_S) == [7]
    assert (held.begun, held.encoded) == (3, 2)


def test_click_on_the_same_frame_waits_for_what_is_encoded(
    held: HeldBackend, pool: ThreadPoolExecutor
) -> None:
    session = Engine(held).open(MOVIE)
    prefetch = pool.submit(list, session.encode([7]))
    assert held.is_encoding.wait(WAIT_S)

    clicked = click(pool, session, 7)
    held.may_go_on.set()

    assert clicked.result(WAIT_S).area > 0
    assert prefetch.result(WAIT_S) == [7]
    assert (held.begun, held.encoded) == (1, 1)


def test_click_goes_before_a_propagation_that_repeats_its_frame(
    held: HeldBackend, pool: ThreadPoolExecutor
) -> None:
    session = Engine(held).open(MOVIE)
    propagated = pool.submit(list, session.propagate({(0, 1): CLICK}, range(2)))
    assert held.is_encoding.wait(WAIT_S)

    clicked = click(pool, session, 9)
    held.may_go_on.set()

    assert clicked.result(WAIT_S).area > 0
    assert [mask.frame for mask in propagated.result(WAIT_S)] == [0, 1]
    assert (held.begun, held.encoded) == (4, 3)


def test_click_on_a_frame_that_is_ready_goes_first_too(
    held: HeldBackend, pool: ThreadPoolExecutor
) -> None:
    session = Engine(held).open(MOVIE)
    held.may_go_on.set()
    list(session.encode([0]))
    held.may_go_on.clear()
    held.is_encoding.clear()
    prefetch = pool.submit(list, session.encode([7]))
    assert held.is_encoding.wait(WAIT_S)

    clicked = click(pool, session, 0)
    held.may_go_on.set()

    assert clicked.result(WAIT_S).area > 0
    assert prefetch.result(WAIT_S) == [7]
    assert (held.begun, held.encoded) == (3, 2)


class ReadingBackend(DiskBackend):
    """Encodes an image only once the next frame of its stack was read."""

    def __init__(self) -> None:
        super().__init__()
        self.has_read = [Event() for _ in MOVIE]

    def read(self, frame: int) -> NDArray[np.uint8]:
        self.has_read[frame].set()
        return MOVIE[frame][..., None]

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        next_frame = min(self.encoded + 1, len(MOVIE) - 1)
        if self.encoded > 0:
            assert self.has_read[next_frame].wait(WAIT_S)
        return super().encode(image)


@pytest.mark.parametrize(
    "use", [Session.encode, lambda session: session.propagate({(0, 1): Prompts([(30, 10)])})]
)
def test_next_frame_is_read_while_a_frame_is_encoded(use) -> None:
    backend = ReadingBackend()
    frames = Frames(10, (64, 64), 1, backend.read)
    contrast = Engine(DiskBackend()).open(MOVIE).contrast
    session = Engine(backend).open(frames, contrast=contrast)

    list(use(session))

    assert backend.encoded == 10


def test_frames_after_an_object_was_lost_are_not_read() -> None:
    read: list[int] = []

    def fetch(frame: int) -> NDArray[np.uint8]:
        read.append(frame)
        return MOVIE[0][..., None] if frame == 0 else np.zeros((64, 64, 1), np.uint8)

    contrast = Engine(DiskBackend()).open(MOVIE).contrast
    session = Engine(DiskBackend()).open(Frames(10, (64, 64), 1, fetch), contrast=contrast)

    list(session.propagate({(0, 1): Prompts([(30, 10)])}))

    assert len(read) <= 1 + ABSENT_FRAMES + 1  # the next one is read in advance


@pytest.mark.parametrize(
    ("frame", "heading", "expected"),
    [
        (5, 1, [5, 6, 4, 7, 3]),
        (5, -1, [5, 4, 6, 3, 7]),
        (0, 1, [0, 1, 2]),
        (9, 1, [9, 8, 7]),
    ],
)
def test_nearest_frames_come_first_and_of_two_the_next_one(
    frame: int, heading: int, expected: list[int]
) -> None:
    assert order_around(frame, 10, 2, heading) == expected


@pytest.mark.parametrize(
    ("nbytes", "reach"), [(0, 0), (100, 0), (299, 0), (300, 1), (500, 2), (9999, 4)]
)
def test_reach_is_what_fits_with_the_frame_itself(nbytes: int, reach: int) -> None:
    assert reach_within(nbytes, Cost(0.1, 100), 4) == reach


CONTRAST = Contrast((Channel((0, 255)),))


class Stack:
    """Notes which frames are read and by which thread; frame 3 cannot be read."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.readers: set[int] = set()
        self.has_read = Event()
        self.first = ModelInput(Frames(5, (16, 16), 1, self._read), CONTRAST, 0)

    def model_input(self, frame: int) -> ModelInput:
        return replace(self.first, frame=frame)

    def _read(self, frame: int) -> NDArray[np.uint8]:
        self.read.append(frame)
        self.readers.add(get_ident())
        self.has_read.set()
        if frame == 3:
            raise OSError("the disk is gone")
        return np.full((16, 16, 1), frame, np.uint8)


@pytest.fixture
def stack() -> Stack:
    return Stack()


def never(_: ModelInput) -> bool:
    return False


def test_expected_frame_is_read_by_another_thread_before_it_is_needed(stack: Stack) -> None:
    with FrameReader(never) as reader:
        reader.expect(stack.model_input(1))
        assert stack.has_read.wait(WAIT_S)

        image = reader.prefetched(stack.model_input(1)).draw()

    assert stack.read == [1]
    assert get_ident() not in stack.readers
    np.testing.assert_allclose(image, 1 / 255, rtol=1e-6)


def test_frame_that_was_not_expected_is_read_when_it_is_drawn(stack: Stack) -> None:
    with FrameReader(never) as reader:
        reader.expect(stack.model_input(1))

        reader.prefetched(stack.model_input(0)).draw()

    assert 0 in stack.read
    assert get_ident() in stack.readers


def test_frame_that_is_ready_is_not_read(stack: Stack) -> None:
    with FrameReader(lambda model_input: model_input.frame == 1) as reader:
        reader.expect(stack.model_input(1), stack.model_input(2))

        reader.prefetched(stack.model_input(2)).draw()

    assert stack.read == [2]


def test_error_is_raised_for_the_frame_it_belongs_to(stack: Stack) -> None:
    with FrameReader(never) as reader:
        reader.expect(stack.model_input(2), stack.model_input(3))
        reader.prefetched(stack.model_input(2)).draw()

        broken = reader.prefetched(stack.model_input(3))

        with pytest.raises(FramesError, match="Frame 3 cannot be read"):
            broken.draw()


def test_frames_expected_again_are_read_once(stack: Stack) -> None:
    with FrameReader(never) as reader:
        reader.expect(stack.model_input(1), stack.model_input(2))
        first = reader.prefetched(stack.model_input(1)).draw()

        reader.expect(stack.model_input(2))
        second = reader.prefetched(stack.model_input(2)).draw()

    assert stack.read == [1, 2]
    assert [round(float(image.max()) * 255) for image in (first, second)] == [1, 2]


def test_copy_of_a_prefetched_input_is_prefetched_too(stack: Stack) -> None:
    with FrameReader(never) as reader:
        reader.expect(stack.model_input(1))

        replace(reader.prefetched(stack.first), frame=1).draw()

    assert stack.read == [1]
    assert get_ident() not in stack.readers

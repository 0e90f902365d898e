"""Whose turn it is at a model, and how many images it encodes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Condition

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam3.engine import Engine, Prompts
from napari_sam3.engine.cache.budgets import Budgets
from napari_sam3.engine.scheduling import MAX_BATCH, MAX_BATCH_BYTES, BatchEncoder, Turns
from napari_sam3.values.errors import DeviceMemoryError
from tests.backends import DiskBackend, DiskEmbedding, disk_frames

SHAPE = (16, 16)


class CardBackend(DiskBackend):
    """A graphics card with memory for so many images, with a fixed time for each batch."""

    def __init__(
        self, max_batch: int = 1000, per_batch: float = 1.0, per_image: float = 0.1
    ) -> None:
        super().__init__()
        self.now = 0.0
        self.batch_sizes: list[int] = []
        self._max_batch = max_batch
        self._per_batch = per_batch
        self._per_image = per_image

    def clock(self) -> float:
        return self.now

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        return self.encode_batch([image])[0]

    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[DiskEmbedding]:
        if len(images) > self._max_batch:
            raise DeviceMemoryError("The memory of the graphics card is too small.")
        self.batch_sizes.append(len(images))
        self.now += self._per_batch + self._per_image * len(images)
        return [DiskBackend.encode(self, image) for image in images]


def learned_size(backend: CardBackend) -> int:
    """Encode images on a card until the size of a batch does not change any more."""
    batch_encoder = BatchEncoder("cuda", backend.clock)
    for _ in range(20):
        images = [np.zeros((*SHAPE, 3), np.float32)] * batch_encoder.size(SHAPE)
        embeddings = batch_encoder.encode(backend, images)
        assert len(embeddings) == len(images)
    return batch_encoder.size(SHAPE)


@pytest.mark.parametrize(
    ("per_batch", "per_image", "size"),
    [(0.0, 1.0, 1), (0.9, 1.0, 4), (1.0, 0.2, 32), (1.0, 0.0, MAX_BATCH)],
)
def test_batches_grow_as_long_as_an_image_gains_from_it(
    per_batch: float, per_image: float, size: int
) -> None:
    assert learned_size(CardBackend(per_batch=per_batch, per_image=per_image)) == size


def test_batches_are_halved_where_memory_is_short() -> None:
    backend = CardBackend(max_batch=6)

    assert learned_size(backend) == 4
    assert max(backend.batch_sizes) == 4


def test_image_too_large_for_the_memory_is_an_error() -> None:
    with pytest.raises(DeviceMemoryError):
        learned_size(CardBackend(max_batch=0))


def test_cpu_encodes_one_image_at_a_time() -> None:
    batch_encoder, backend = BatchEncoder("cpu"), DiskBackend()

    for _ in range(5):
        batch_encoder.encode(backend, [np.zeros((*SHAPE, 3), np.float32)])

    assert batch_encoder.size(SHAPE) == 1


def test_large_images_go_in_smaller_batches() -> None:
    batch_encoder, backend = BatchEncoder("cuda", lambda: 0.0), CardBackend()
    for _ in range(20):
        batch_encoder.encode(
            backend, [np.zeros((*SHAPE, 3), np.float32)] * batch_encoder.size(SHAPE)
        )

    size = batch_encoder.size((4000, 4000))

    assert size * 4000 * 4000 * 3 * 4 <= MAX_BATCH_BYTES
    assert batch_encoder.size((40_000, 40_000)) == 1


def test_stack_is_encoded_in_batches_and_in_order() -> None:
    backend = CardBackend()
    session = Engine(backend).open(disk_frames([(30, 10 + index) for index in range(30)]))
    session._model.batch_encoder = BatchEncoder("cuda", backend.clock)

    done = list(session.encode())

    assert done == list(range(30))
    assert backend.batch_sizes == [1, 1, 2, 2, 4, 4, 8, 8]


@pytest.mark.parametrize(("memory", "batch_sizes"), [(2**30, [1, 1, 2, 2, 4]), (0, [1] * 10)])
def test_propagation_encodes_frames_together_if_memory_holds_them(
    memory: int, batch_sizes: list[int]
) -> None:
    backend = CardBackend()
    movie = disk_frames([(30, 10 + index) for index in range(10)])
    session = Engine(backend, Budgets(memory=memory)).open(movie)
    session._model.batch_encoder = BatchEncoder("cuda", backend.clock)

    masks = list(session.propagate({(0, 1): Prompts([(30, 10)])}))

    assert [mask.frame for mask in masks] == list(range(10))
    assert backend.batch_sizes == batch_sizes


def test_frames_of_a_batch_that_are_ready_are_left_out() -> None:
    backend = CardBackend()
    session = Engine(backend).open(disk_frames([(30, 10 + index) for index in range(6)]))
    session._model.batch_encoder = batch_encoder = BatchEncoder("cuda", backend.clock)
    batch_encoder._settle(4)
    list(session.encode([1, 2]))

    done = list(session.encode())

    assert done == [0, 3, 4, 5]
    assert backend.batch_sizes == [2, 4]


WAIT_S = 10


def waiting_for_a_turn(pool: ThreadPoolExecutor, turns: Turns, act: Callable) -> Future:
    """Do something in a thread, and return once it waits for its turn."""
    arrived = Condition()
    waiting = turns._changed.wait_for

    def announce(predicate, timeout=None):
        with arrived:
            arrived.notify()
        return waiting(predicate, timeout)

    turns._changed.wait_for = announce
    with arrived:
        future = pool.submit(act)
        assert arrived.wait(WAIT_S)
    turns._changed.wait_for = waiting
    return future


def queue(pool: ThreadPoolExecutor, turns: Turns, turn: AbstractContextManager, act) -> Future:
    """Start a thread and return once it waits for its turn."""

    def take() -> None:
        with turn:
            act()

    return waiting_for_a_turn(pool, turns, take)


def test_click_goes_before_a_propagation_that_waited_longer() -> None:
    turns, order = Turns(), []

    with ThreadPoolExecutor() as pool:
        with turns.background():
            waiting = [
                queue(pool, turns, turns.background(), lambda: order.append("frame")),
                queue(pool, turns, turns.interactive(), lambda: order.append("click")),
                queue(pool, turns, turns.interactive(), lambda: order.append("click")),
            ]
        for future in waiting:
            future.result(WAIT_S)

    assert order == ["click", "click", "frame"]


@pytest.mark.parametrize("kind", ["interactive", "background"])
def test_error_in_a_turn_ends_it(kind: str) -> None:
    turns = Turns()

    with pytest.raises(ZeroDivisionError), getattr(turns, kind)():
        raise ZeroDivisionError

    with turns.background():
        pass


@pytest.mark.parametrize(
    ("click", "is_click_blocked"),
    [(("a",), False), (("a", "b"), False), (("c",), True), (("a", "c"), True), ((), True)],
)
def test_background_turn_blocks_clicks_on_another_image(
    click: tuple[str, ...], is_click_blocked: bool
) -> None:
    turns, reported = Turns(), []

    with ThreadPoolExecutor() as pool:
        with turns.background().for_keys("a", "b"):
            waiting = queue(pool, turns, turns.interactive().for_keys(*click), lambda: None)
            reported.append(turns.is_click_blocked)
        waiting.result(WAIT_S)

    assert reported == [is_click_blocked]
    assert not turns.is_click_blocked


def test_interactive_turn_blocks_no_click() -> None:
    turns, reported = Turns(), []

    with ThreadPoolExecutor() as pool:
        with turns.interactive().for_keys("a"):
            waiting = queue(pool, turns, turns.interactive().for_keys("b"), lambda: None)
            reported.append(turns.is_click_blocked)
        waiting.result(WAIT_S)

    assert reported == [False]


def test_turn_may_be_taken_again() -> None:
    turns = Turns()
    turn, taken = turns.background(), []

    for _ in range(2):
        with turn:
            taken.append(turn)

    assert taken == [turn, turn]


def test_turns_never_overlap() -> None:
    turns, inside, counts = Turns(), [], []

    def work(number: int) -> None:
        for turn in (turns.interactive, turns.background):
            with turn():
                inside.append(number)
                counts.append(len(inside))
                inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(50)))

    assert counts == [1] * 100

"""How many images go through a model together."""

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
from napari_sam3.engine.scheduling import MOST, MOST_BYTES, Batches, Turns
from napari_sam3.values.errors import DeviceMemoryError
from tests.backends import DiskBackend, DiskEmbedding, disk_frames

SHAPE = (16, 16)


class CardBackend(DiskBackend):
    """A graphics card with room for so many images, which takes a time of its own for a pass."""

    def __init__(self, room: int = 1000, fixed: float = 1.0, each: float = 0.1) -> None:
        super().__init__()
        self.now = 0.0
        self.micro_batches: list[int] = []
        self._quota = room
        self._fixed = fixed
        self._each = each

    def clock(self) -> float:
        return self.now

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        return self.encode_batch([image])[0]

    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[DiskEmbedding]:
        if len(images) > self._quota:
            raise DeviceMemoryError("The memory of the graphics card is too small.")
        self.micro_batches.append(len(images))
        self.now += self._fixed + self._each * len(images)
        return [DiskBackend.encode(self, image) for image in images]


def learned(backend: CardBackend) -> int:
    """Let a card embed images until nothing changes any more."""
    batches = Batches("cuda", backend.clock)
    for _ in range(20):
        images = [np.zeros((*SHAPE, 3), np.float32)] * batches.size(SHAPE)
        made = batches.encoded(backend, images)
        assert len(made) == len(images)
    return batches.size(SHAPE)


@pytest.mark.parametrize(
    ("fixed", "each", "size"), [(0.0, 1.0, 1), (0.9, 1.0, 4), (1.0, 0.2, 32), (1.0, 0.0, MOST)]
)
def test_passes_grow_as_long_as_an_image_gains_from_it(
    fixed: float, each: float, size: int
) -> None:
    assert learned(CardBackend(fixed=fixed, each=each)) == size


def test_passes_are_halved_where_memory_is_short() -> None:
    backend = CardBackend(room=6)

    assert learned(backend) == 4
    assert max(backend.micro_batches) == 4


def test_image_for_which_there_is_no_room_is_told() -> None:
    with pytest.raises(DeviceMemoryError):
        learned(CardBackend(room=0))


def test_processor_takes_one_image_at_a_time() -> None:
    batches, backend = Batches("cpu"), DiskBackend()

    for _ in range(5):
        batches.encoded(backend, [np.zeros((*SHAPE, 3), np.float32)])

    assert batches.size(SHAPE) == 1


def test_large_images_go_in_smaller_passes() -> None:
    batches, backend = Batches("cuda", lambda: 0.0), CardBackend()
    for _ in range(20):
        batches.encoded(backend, [np.zeros((*SHAPE, 3), np.float32)] * batches.size(SHAPE))

    size = batches.size((4000, 4000))

    assert size * 4000 * 4000 * 3 * 4 <= MOST_BYTES
    assert batches.size((40_000, 40_000)) == 1


def test_stack_is_encoded_in_batches_and_in_order() -> None:
    backend = CardBackend()
    session = Engine(backend).open(disk_frames([(30, 10 + index) for index in range(30)]))
    session._model.batches = Batches("cuda", backend.clock)

    done = list(session.encode())

    assert done == list(range(30))
    assert backend.micro_batches == [1, 1, 2, 2, 4, 4, 8, 8]


@pytest.mark.parametrize(("memory", "micro_batches"), [(2**30, [1, 1, 2, 2, 4]), (0, [1] * 10)])
def test_propagation_embeds_frames_together_if_there_is_room_for_them(
    memory: int, micro_batches: list[int]
) -> None:
    backend = CardBackend()
    movie = disk_frames([(30, 10 + index) for index in range(10)])
    session = Engine(backend, Budgets(memory=memory)).open(movie)
    session._model.batches = Batches("cuda", backend.clock)

    masks = list(session.propagate({(0, 1): Prompts([(30, 10)])}))

    assert [mask.frame for mask in masks] == list(range(10))
    assert backend.micro_batches == micro_batches


def test_frames_of_a_batch_that_are_ready_are_left_out() -> None:
    backend = CardBackend()
    session = Engine(backend).open(disk_frames([(30, 10 + index) for index in range(6)]))
    session._model.batches = batches = Batches("cuda", backend.clock)
    batches._settle(4)
    list(session.encode([1, 2]))

    done = list(session.encode())

    assert done == [0, 3, 4, 5]
    assert backend.micro_batches == [2, 4]


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
    ("click", "is_in_the_way"),
    [(("a",), False), (("a", "b"), False), (("c",), True), (("a", "c"), True), ((), True)],
)
def test_background_is_in_the_way_of_clicks_on_other_pictures(
    click: tuple[str, ...], is_in_the_way: bool
) -> None:
    turns, said = Turns(), []

    with ThreadPoolExecutor() as pool:
        with turns.background().about("a", "b"):
            waiting = queue(pool, turns, turns.interactive().about(*click), lambda: None)
            said.append(turns.is_in_the_way)
        waiting.result(WAIT_S)

    assert said == [is_in_the_way]
    assert not turns.is_in_the_way


def test_click_is_in_nobodys_way() -> None:
    turns, said = Turns(), []

    with ThreadPoolExecutor() as pool:
        with turns.interactive().about("a"):
            waiting = queue(pool, turns, turns.interactive().about("b"), lambda: None)
            said.append(turns.is_in_the_way)
        waiting.result(WAIT_S)

    assert said == [False]


def test_turn_may_be_taken_again() -> None:
    turns = Turns()
    turn, taken = turns.background(), []

    for _ in range(2):
        with turn:
            taken.append(turn)

    assert taken == [turn, turn]


def test_turns_never_overlap() -> None:
    turns, inside, seen = Turns(), [], []

    def work(number: int) -> None:
        for turn in (turns.interactive, turns.background):
            with turn():
                inside.append(number)
                seen.append(len(inside))
                inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(50)))

    assert seen == [1] * 100

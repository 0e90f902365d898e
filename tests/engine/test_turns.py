from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Condition

import pytest

from napari_sam3.engine.turns import Turns

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

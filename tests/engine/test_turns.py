from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Condition

import pytest

from napari_sam3.engine.turns import Turns

WAIT_S = 10


def queue(pool: ThreadPoolExecutor, turns: Turns, turn: AbstractContextManager, act) -> Future:
    """Start a thread and return once it waits for its turn."""
    arrived = Condition()
    waiting = turns._changed.wait_for

    def announce(predicate, timeout=None):
        with arrived:
            arrived.notify()
        return waiting(predicate, timeout)

    def take() -> None:
        with turn:
            act()

    turns._changed.wait_for = announce
    with arrived:
        future = pool.submit(take)
        assert arrived.wait(WAIT_S)
    turns._changed.wait_for = waiting
    return future


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

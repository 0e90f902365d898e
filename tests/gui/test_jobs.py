"""Clocks of the dock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from qtpy import API_NAME
from qtpy.QtCore import QTimer

from napari_sam3.engine import CancelledError, ModelError, Sam3Error
from napari_sam3.gui.jobs import QUEUED_RESULTS, BackgroundJobs, Clock
from tests.gui.window import PATIENCE


def test_a_clock_that_calls_once_has_run_out_then(qtbot: Any) -> None:
    calls: list[int] = []
    clock = Clock.once(1, lambda: calls.append(1))

    clock.start()
    qtbot.waitUntil(lambda: len(calls) == 1)

    assert not clock.is_running


def test_a_clock_calls_again_and_again_until_it_is_stopped(qtbot: Any) -> None:
    calls: list[int] = []
    clock = Clock.every(1, lambda: calls.append(1))

    clock.start()
    qtbot.waitUntil(lambda: len(calls) > 2)
    clock.stop()

    assert not clock.is_running


@pytest.mark.skipif(not API_NAME.startswith("PyQt"), reason="deletes as PyQt does at the end")
def test_a_clock_that_qt_has_deleted_can_be_stopped(qtbot: Any) -> None:
    from qtpy import sip

    clock = Clock.every(1, lambda: None)
    clock.start()
    sip.delete(clock._timer)

    clock.stop()
    clock.start()

    assert not clock.is_running


class Clerk:
    """Asks questions that wait at a gate, and writes down what comes back."""

    def __init__(self, qtbot: Any) -> None:
        self.jobs = BackgroundJobs()
        self.gate = threading.Event()
        self.begun: list[str] = []
        self.ran: list[str] = []
        self.answers: list[str] = []
        self.errors: list[str] = []
        self._qtbot = qtbot

    def ask(self, key: str, name: str) -> None:
        def question() -> str:
            self.begun.append(name)
            self.gate.wait(PATIENCE / 1000)
            self.ran.append(name)
            return name

        self.jobs.submit(key, question, self.answers.append, self._on_failed)

    def ask_in_vain(self, key: str) -> None:
        def question() -> str:
            raise ModelError("The model cannot do that: choose another.")

        self.jobs.submit(key, question, self.answers.append, self._on_failed)

    def until(self, is_so: Callable[[], Any]) -> None:
        self._qtbot.waitUntil(lambda: bool(is_so()), timeout=PATIENCE)

    def _on_failed(self, error: Sam3Error) -> None:
        self.errors.append(str(error))


@pytest.fixture
def clerk(qtbot: Any) -> Iterator[Clerk]:
    made = Clerk(qtbot)
    yield made
    made.gate.set()
    made.jobs.close()


def test_questions_are_answered_in_turn(clerk: Clerk) -> None:
    clerk.gate.set()

    for name in ("a", "b", "c"):
        clerk.ask(name, name)

    clerk.until(lambda: len(clerk.answers) == 3)
    assert clerk.answers == ["a", "b", "c"]


def test_superseded_question_never_runs(clerk: Clerk) -> None:
    clerk.ask("other", "first")
    for name in ("old", "older", "new"):
        clerk.ask("key", name)

    clerk.gate.set()

    clerk.until(lambda: "new" in clerk.answers)
    assert clerk.ran == ["first", "new"]


def test_answer_that_comes_after_a_newer_question_is_dropped(clerk: Clerk) -> None:
    clerk.ask("key", "old")
    clerk.ask("key", "new")

    clerk.gate.set()

    clerk.until(lambda: "new" in clerk.answers)
    assert clerk.ran == ["old", "new"]
    assert clerk.answers == ["new"]


def test_forgotten_question_never_runs(clerk: Clerk) -> None:
    clerk.ask("first", "first")
    clerk.ask("key", "forgotten")
    clerk.ask("last", "last")

    clerk.jobs.forget("key")
    clerk.gate.set()

    clerk.until(lambda: "last" in clerk.answers)
    assert clerk.ran == ["first", "last"]


def test_answer_to_a_forgotten_question_is_dropped(clerk: Clerk) -> None:
    clerk.ask("key", "forgotten")
    clerk.ask("last", "last")

    clerk.jobs.forget("key")
    clerk.gate.set()

    clerk.until(lambda: "last" in clerk.answers)
    assert clerk.answers == ["last"]


def test_question_asked_again_after_it_was_forgotten_is_answered(clerk: Clerk) -> None:
    clerk.ask("key", "forgotten")
    clerk.jobs.forget("key")
    clerk.ask("key", "asked again")

    clerk.gate.set()

    clerk.until(lambda: clerk.answers)
    assert clerk.answers == ["asked again"]


def test_error_is_handed_over_as_it_is(clerk: Clerk) -> None:
    clerk.ask_in_vain("key")

    clerk.until(lambda: clerk.errors)
    assert clerk.errors == ["The model cannot do that: choose another."]


def test_questions_go_on_after_an_error(clerk: Clerk) -> None:
    clerk.gate.set()
    clerk.ask_in_vain("key")
    clerk.ask("key 2", "next")

    clerk.until(lambda: clerk.answers)
    assert clerk.answers == ["next"]


def test_error_that_nobody_foresaw_ends_its_question_and_is_raised(
    clerk: Clerk, qtbot: Any
) -> None:
    failed: list[Sam3Error] = []

    def question() -> None:
        raise RuntimeError("out of memory")

    with qtbot.capture_exceptions() as raised:
        clerk.jobs.submit("key", question, clerk.answers.append, failed.append)
        clerk.until(lambda: failed and raised)

    assert isinstance(failed[0], CancelledError)
    assert [str(error) for _, error, _ in raised] == ["out of memory"]
    assert not clerk.jobs.is_busy


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), OSError("out of memory")])
def test_error_that_nobody_foresaw_ends_its_stream_and_is_raised(
    clerk: Clerk, qtbot: Any, error: Exception
) -> None:
    ended: list[object] = []

    def results() -> Generator[int, None, None]:
        yield 1
        raise error

    with qtbot.capture_exceptions() as raised:
        clerk.jobs.stream(results, lambda _: None, ended.append)
        clerk.until(lambda: raised and not clerk.jobs.is_busy)

    assert ended == [None]
    assert ["out of memory" in str(error) for _, error, _ in raised] == [True]


def test_question_is_answered_while_a_stream_runs(clerk: Clerk) -> None:
    clerk.gate.set()
    stop = threading.Event()
    stream = clerk.jobs.stream(lambda: _counting(stop), lambda _: None, lambda _: None)

    clerk.ask("key", "answer")

    clerk.until(lambda: clerk.answers)
    assert not stop.is_set()
    stream.stop()
    clerk.until(stop.is_set)


def test_stream_hands_over_all_results_in_order(clerk: Clerk) -> None:
    arrived: list[int] = []
    ended: list[object] = []

    clerk.jobs.stream(lambda: (number for number in range(50)), arrived.append, ended.append)

    clerk.until(lambda: ended)
    assert arrived == list(range(50))
    assert ended == [None]


def test_stream_is_never_far_ahead_of_the_viewer(clerk: Clerk) -> None:
    made = 0
    lead: list[int] = []

    def results() -> Generator[int, None, None]:
        nonlocal made
        for number in range(40):
            made += 1
            yield number

    clerk.jobs.stream(
        results,
        lambda number: lead.append(made - number - 1),
        lambda _: clerk.answers.append("ended"),
    )

    clerk.until(lambda: clerk.answers)
    assert len(lead) == 40
    assert max(lead) <= QUEUED_RESULTS


def test_stopped_stream_makes_at_most_one_more_result(clerk: Clerk) -> None:
    made: list[int] = []
    arrived: list[int] = []
    ended: list[object] = []

    def results() -> Generator[int, None, None]:
        for number in range(1000):
            made.append(number)
            yield number

    def stop_at_third(number: int) -> None:
        arrived.append(number)
        if number == 2:
            made_at_stop.append(len(made))
            stream.stop()

    made_at_stop: list[int] = []
    stream = clerk.jobs.stream(results, stop_at_third, ended.append)

    clerk.until(lambda: ended)
    assert arrived == [0, 1, 2]
    assert len(made) <= made_at_stop[0] + 1


def test_stopped_stream_closes_its_generator(clerk: Clerk) -> None:
    closed = threading.Event()
    arrived: list[int] = []
    stream = clerk.jobs.stream(lambda: _counting(closed), arrived.append, lambda _: None)
    clerk.until(lambda: arrived)

    stream.stop()

    clerk.until(closed.is_set)


def test_error_in_a_stream_comes_after_its_results(clerk: Clerk) -> None:
    arrived: list[int] = []
    ended: list[object] = []

    def results() -> Generator[int, None, None]:
        yield 1
        raise ModelError("The model was unloaded.")

    clerk.jobs.stream(results, arrived.append, lambda error: ended.append(str(error)))

    clerk.until(lambda: ended)
    assert arrived == [1]
    assert ended == ["The model was unloaded."]


def test_closed_jobs_stop_streams_and_forget_questions(clerk: Clerk) -> None:
    closed = threading.Event()
    arrived: list[int] = []
    clerk.jobs.stream(lambda: _counting(closed), arrived.append, lambda _: None)
    clerk.until(lambda: arrived)
    clerk.ask("key", "under way")
    clerk.ask("key 2", "waiting")
    clerk.until(lambda: clerk.begun)

    clerk.jobs.close()
    clerk.gate.set()

    clerk.until(closed.is_set)
    clerk.until(lambda: clerk.ran)
    assert clerk.ran == ["under way"]
    assert clerk.answers == []


def test_question_whose_worker_starts_after_closing_is_not_asked(clerk: Clerk) -> None:
    clerk.gate.set()
    others = BackgroundJobs()

    def ask_and_close() -> None:
        clerk.ask("key", "late")
        clerk.jobs.close()
        others.submit("key", lambda: "next", clerk.answers.append, lambda _: None)

    QTimer.singleShot(0, ask_and_close)  # workers of an event loop start a little later

    clerk.until(lambda: clerk.answers)
    assert clerk.answers == ["next"]
    assert clerk.ran == []


def _counting(closed: threading.Event) -> Generator[int, None, None]:
    """Count until it is closed."""
    number = 0
    try:
        while True:
            yield number
            number += 1
    finally:
        closed.set()

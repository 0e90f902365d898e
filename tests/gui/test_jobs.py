"""Tasks and streams in workers, and the clocks of the dock."""

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


class Tasks:
    """Submits tasks that wait at a gate, and keeps their results."""

    def __init__(self, qtbot: Any) -> None:
        self.jobs = BackgroundJobs()
        self.gate = threading.Event()
        self.begun: list[str] = []
        self.ran: list[str] = []
        self.results: list[str] = []
        self.errors: list[str] = []
        self._qtbot = qtbot

    def submit(self, key: str, name: str) -> None:
        def task() -> str:
            self.begun.append(name)
            self.gate.wait(PATIENCE / 1000)
            self.ran.append(name)
            return name

        self.jobs.submit(key, task, self.results.append, self._on_failed)

    def submit_failing(self, key: str) -> None:
        def task() -> str:
            raise ModelError("The model cannot do that: choose another.")

        self.jobs.submit(key, task, self.results.append, self._on_failed)

    def until(self, is_so: Callable[[], Any]) -> None:
        self._qtbot.waitUntil(lambda: bool(is_so()), timeout=PATIENCE)

    def _on_failed(self, error: Sam3Error) -> None:
        self.errors.append(str(error))


@pytest.fixture
def tasks(qtbot: Any) -> Iterator[Tasks]:
    made = Tasks(qtbot)
    yield made
    made.gate.set()
    made.jobs.close()


def test_tasks_run_one_after_the_other(tasks: Tasks) -> None:
    tasks.gate.set()

    for name in ("a", "b", "c"):
        tasks.submit(name, name)

    tasks.until(lambda: len(tasks.results) == 3)
    assert tasks.results == ["a", "b", "c"]


def test_superseded_task_never_runs(tasks: Tasks) -> None:
    tasks.submit("first", "first")
    for name in ("old", "older", "new"):
        tasks.submit("key", name)

    tasks.gate.set()

    tasks.until(lambda: "new" in tasks.results)
    assert tasks.ran == ["first", "new"]


def test_result_that_comes_after_a_newer_task_is_dropped(tasks: Tasks) -> None:
    tasks.submit("key", "old")
    tasks.submit("key", "new")

    tasks.gate.set()

    tasks.until(lambda: "new" in tasks.results)
    assert tasks.ran == ["old", "new"]
    assert tasks.results == ["new"]


def test_forgotten_task_never_runs(tasks: Tasks) -> None:
    tasks.submit("first", "first")
    tasks.submit("key", "forgotten")
    tasks.submit("last", "last")

    tasks.jobs.forget("key")
    tasks.gate.set()

    tasks.until(lambda: "last" in tasks.results)
    assert tasks.ran == ["first", "last"]


def test_result_of_a_forgotten_task_is_dropped(tasks: Tasks) -> None:
    tasks.submit("key", "forgotten")
    tasks.submit("last", "last")

    tasks.jobs.forget("key")
    tasks.gate.set()

    tasks.until(lambda: "last" in tasks.results)
    assert tasks.results == ["last"]


def test_task_submitted_again_after_it_was_forgotten_runs(tasks: Tasks) -> None:
    tasks.submit("key", "forgotten")
    tasks.jobs.forget("key")
    tasks.submit("key", "again")

    tasks.gate.set()

    tasks.until(lambda: tasks.results)
    assert tasks.results == ["again"]


def test_error_is_handed_over_as_it_is(tasks: Tasks) -> None:
    tasks.submit_failing("key")

    tasks.until(lambda: tasks.errors)
    assert tasks.errors == ["The model cannot do that: choose another."]


def test_tasks_go_on_after_an_error(tasks: Tasks) -> None:
    tasks.gate.set()
    tasks.submit_failing("key")
    tasks.submit("key 2", "next")

    tasks.until(lambda: tasks.results)
    assert tasks.results == ["next"]


def test_unexpected_error_ends_its_task_and_is_raised(tasks: Tasks, qtbot: Any) -> None:
    failed: list[Sam3Error] = []

    def task() -> None:
        raise RuntimeError("out of memory")

    with qtbot.capture_exceptions() as raised:
        tasks.jobs.submit("key", task, tasks.results.append, failed.append)
        tasks.until(lambda: failed and raised)

    assert isinstance(failed[0], CancelledError)
    assert [str(error) for _, error, _ in raised] == ["out of memory"]
    assert not tasks.jobs.is_busy


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), OSError("out of memory")])
def test_unexpected_error_ends_its_stream_and_is_raised(
    tasks: Tasks, qtbot: Any, error: Exception
) -> None:
    ended: list[object] = []

    def results() -> Generator[int, None, None]:
        yield 1
        raise error

    with qtbot.capture_exceptions() as raised:
        tasks.jobs.stream(results, lambda _: None, ended.append)
        tasks.until(lambda: raised and not tasks.jobs.is_busy)

    assert ended == [None]
    assert ["out of memory" in str(error) for _, error, _ in raised] == [True]


def test_task_runs_beside_a_stream(tasks: Tasks) -> None:
    tasks.gate.set()
    stop = threading.Event()
    stream = tasks.jobs.stream(lambda: _counting(stop), lambda _: None, lambda _: None)

    tasks.submit("key", "result")

    tasks.until(lambda: tasks.results)
    assert not stop.is_set()
    stream.stop()
    tasks.until(stop.is_set)


def test_stream_hands_over_all_results_in_order(tasks: Tasks) -> None:
    arrived: list[int] = []
    ended: list[object] = []

    tasks.jobs.stream(lambda: (number for number in range(50)), arrived.append, ended.append)

    tasks.until(lambda: ended)
    assert arrived == list(range(50))
    assert ended == [None]


def test_stream_waits_for_the_viewer_after_a_few_results(tasks: Tasks) -> None:
    made = 0
    lead: list[int] = []

    def results() -> Generator[int, None, None]:
        nonlocal made
        for number in range(40):
            made += 1
            yield number

    tasks.jobs.stream(
        results,
        lambda number: lead.append(made - number - 1),
        lambda _: tasks.results.append("ended"),
    )

    tasks.until(lambda: tasks.results)
    assert len(lead) == 40
    assert max(lead) <= QUEUED_RESULTS


def test_stopped_stream_makes_at_most_one_more_result(tasks: Tasks) -> None:
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
    stream = tasks.jobs.stream(results, stop_at_third, ended.append)

    tasks.until(lambda: ended)
    assert arrived == [0, 1, 2]
    assert len(made) <= made_at_stop[0] + 1


def test_stopped_stream_closes_its_generator(tasks: Tasks) -> None:
    closed = threading.Event()
    arrived: list[int] = []
    stream = tasks.jobs.stream(lambda: _counting(closed), arrived.append, lambda _: None)
    tasks.until(lambda: arrived)

    stream.stop()

    tasks.until(closed.is_set)


def test_error_in_a_stream_comes_after_its_results(tasks: Tasks) -> None:
    arrived: list[int] = []
    ended: list[object] = []

    def results() -> Generator[int, None, None]:
        yield 1
        raise ModelError("The model was unloaded.")

    tasks.jobs.stream(results, arrived.append, lambda error: ended.append(str(error)))

    tasks.until(lambda: ended)
    assert arrived == [1]
    assert ended == ["The model was unloaded."]


def test_closed_jobs_stop_streams_and_forget_tasks(tasks: Tasks) -> None:
    closed = threading.Event()
    arrived: list[int] = []
    tasks.jobs.stream(lambda: _counting(closed), arrived.append, lambda _: None)
    tasks.until(lambda: arrived)
    tasks.submit("key", "running")
    tasks.submit("key 2", "waiting")
    tasks.until(lambda: tasks.begun)

    tasks.jobs.close()
    tasks.gate.set()

    tasks.until(closed.is_set)
    tasks.until(lambda: tasks.ran)
    assert tasks.ran == ["running"]
    assert tasks.results == []


def test_task_whose_worker_starts_after_closing_does_not_run(tasks: Tasks) -> None:
    tasks.gate.set()
    open_jobs = BackgroundJobs()

    def submit_and_close() -> None:
        tasks.submit("key", "late")
        tasks.jobs.close()
        open_jobs.submit("key", lambda: "next", tasks.results.append, lambda _: None)

    QTimer.singleShot(0, submit_and_close)  # workers of an event loop start a little later

    tasks.until(lambda: tasks.results)
    assert tasks.results == ["next"]
    assert tasks.ran == []


def test_task_submitted_after_closing_does_not_run(tasks: Tasks) -> None:
    tasks.gate.set()
    tasks.jobs.close()

    tasks.submit("key", "late")

    assert not tasks.jobs.is_busy
    assert tasks.ran == []


def _counting(closed: threading.Event) -> Generator[int, None, None]:
    """Count until it is closed."""
    number = 0
    try:
        while True:
            yield number
            number += 1
    finally:
        closed.set()

"""Clocks of the dock."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy import API_NAME

from napari_sam3.gui.clock import Clock


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

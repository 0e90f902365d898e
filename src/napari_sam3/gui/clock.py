"""Clocks that end with the window, in whatever order Qt takes it apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from qtpy.compat import isalive
from qtpy.QtCore import QTimer


class Clock:
    """Calls a function after a while, once or again and again.

    Qt deletes its objects in no certain order when a process ends with a window open. What is
    stopped then may be gone already; a timer of Qt itself would raise, and end the process
    without a word to the user.
    """

    def __init__(self, timer: QTimer, act: Callable[[], None]) -> None:
        self._timer = timer
        timer.timeout.connect(act)

    @classmethod
    def every(cls, milliseconds: int, act: Callable[[], None]) -> Self:
        """Make a clock that calls again and again until it is stopped."""
        timer = QTimer()
        timer.setInterval(milliseconds)
        return cls(timer, act)

    @classmethod
    def once(cls, milliseconds: int, act: Callable[[], None]) -> Self:
        """Make a clock that calls once, so long after the last start."""
        clock = cls.every(milliseconds, act)
        clock._timer.setSingleShot(True)
        return clock

    @property
    def is_running(self) -> bool:
        """Whether a call is to come."""
        return bool(isalive(self._timer) and self._timer.isActive())

    def start(self) -> None:
        """Begin to wait, anew if the clock runs."""
        if isalive(self._timer):
            self._timer.start()

    def stop(self) -> None:
        """Call no more."""
        if isalive(self._timer):
            self._timer.stop()

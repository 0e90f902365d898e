"""Whose turn it is at a model: clicks go before propagations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Turns:
    """One place that one thread holds at a time.

    A turn is never held across a ``yield`` of masks: a propagation takes one for every frame, and
    whoever waits for a click goes before it.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._is_taken = False
        self._clicks_waiting = 0

    @contextmanager
    def interactive(self) -> Iterator[None]:
        """Take a turn for somebody who waits for the answer."""
        with self._changed:
            self._clicks_waiting += 1
            try:
                self._changed.wait_for(lambda: not self._is_taken)
                self._is_taken = True
            finally:
                self._clicks_waiting -= 1
        with self._leaving():
            yield

    @contextmanager
    def background(self) -> Iterator[None]:
        """Take a turn when nobody waits for a click."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taken and not self._clicks_waiting)
            self._is_taken = True
        with self._leaving():
            yield

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()

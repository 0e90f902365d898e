"""Which frames of the stack that is looked at are embedded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .focus import Focus
from .seen import seen
from .views import View
from .works import Works

AT_ONCE = 256
"""Frames that are looked up in one go, so that thousands do not hold up the viewer."""


class Readiness:
    """Looks up which frames are ready, some at a time."""

    def __init__(self, focus: Focus, works: Works) -> None:
        self._focus = focus
        self._works = works
        self._view: View | None = None
        self._left = 0  # frames to be looked up
        self._next = 0
        self.flags: NDArray[np.bool_] = np.zeros(0, bool)  # (F,), whether a frame is ready
        self.under_way: frozenset[int] = frozenset()  # frames that are embedded now
        self.current: int | None = None  # the frame that is looked at

    @property
    def count(self) -> int:
        """How many frames are ready, as far as they were looked up."""
        return int(self.flags.sum())

    @property
    def is_settled(self) -> bool:
        """Whether all frames were looked up since something changed."""
        return self._left == 0

    def unsettle(self) -> None:
        """Look all frames up once more, since something changed."""
        self._left = len(self.flags)

    def turn_to(self, view: View | None) -> None:
        """Begin anew if another stack is looked at."""
        if view is not self._view:
            self._view, self._next = view, 0
            self.flags = np.zeros(0 if view is None else view.axes.count, bool)
            self.unsettle()

    def add(self, view: View, frame: int) -> None:
        """Take a frame for ready, if its stack is looked at."""
        if view is self._view:
            self.flags[frame] = True

    def look(self) -> None:
        """Look the next frames up."""
        here = seen(self._focus, self._works)
        view = None if here is None else here.view
        self.turn_to(view)
        self.current = None if here is None else here.frame
        session = None if view is None else self._works.known_session(view)
        if session is None:
            self._left, self.under_way = 0, frozenset()
            return
        self.under_way = session.ahead.under_way
        for _ in range(min(AT_ONCE, self._left)):
            self.flags[self._next] = session.is_ready(self._next)
            self._next = (self._next + 1) % len(self.flags)
            self._left -= 1

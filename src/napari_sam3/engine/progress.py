"""How far a model has come with the image it looks at, and how to end that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic

from ..values import CancelledError

LONG_SECONDS = 1
"""From here on somebody who waits is told."""


class GaveWayError(CancelledError):
    """Looking at the image was left for a click on another one, to be taken up again after it."""


@dataclass(frozen=True, slots=True)
class EncodingProgress:
    """How far looking at an image has come."""

    done: int  # steps of the image encoder
    total: int  # 0 where the model does not say
    seconds: float  # since it began

    @property
    def is_long(self) -> bool:
        """Whether it has taken so long that somebody wonders."""
        return self.seconds >= LONG_SECONDS


@dataclass(slots=True, eq=False)
class _Encoding:
    began: float  # in seconds of the monotonic clock
    is_in_the_way: Callable[[], bool]  # of a click
    steps: tuple[int, int] = (0, 0)  # done, of how many
    is_cancelled: bool = False


_look: ContextVar[_Encoding | None] = ContextVar("look", default=None)


class Watch:
    """Knows of the image that a model looks at now; any thread may ask, and end it."""

    def __init__(self) -> None:
        self._look: _Encoding | None = None

    @property
    def encoding_progress(self) -> EncodingProgress | None:
        """How far it has come, while there is an image that is looked at."""
        look = self._look
        return None if look is None else EncodingProgress(*look.steps, monotonic() - look.began)

    def cancel(self) -> None:
        """End it before its next step; later images are not concerned."""
        look = self._look
        if look is not None:
            look.is_cancelled = True

    @contextmanager
    def kept(self, is_in_the_way: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Watch over the image that this thread looks at meanwhile.

        Once ``is_in_the_way`` says so, it is left before its next step, with `GaveWayError`.
        """
        self._look = look = _Encoding(monotonic(), is_in_the_way)
        token = _look.set(look)
        try:
            yield
        finally:
            _look.reset(token)
            self._look = None


def advance(done: int, total: int) -> None:
    """Say before a step how many are done; models call it while they look at an image.

    Raises
    ------
    CancelledError
        If nobody wants to know any more.
    GaveWayError
        If a click for another image waits.
    """
    look = _look.get()
    if look is None:
        return
    if look.is_cancelled:
        raise CancelledError("Looking at the image was stopped: prompt again to begin anew.")
    if look.is_in_the_way():
        raise GaveWayError("Looking at the image was put off: a click on another one went first.")
    look.steps = done, total

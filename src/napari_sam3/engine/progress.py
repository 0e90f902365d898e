"""How far the encoding of an image has come, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic

from ..values import CancelledError

LONG_SECONDS = 1
"""Progress is shown of an encoding that takes longer."""


class PreemptedError(CancelledError):
    """The encoding of an image was interrupted by a click on another one, and is repeated after it.

    It never leaves the engine.
    """


@dataclass(frozen=True, slots=True)
class EncodingProgress:
    """How far the encoding of an image has come."""

    done: int  # steps of the image encoder
    total: int  # 0 where the model does not report its steps
    seconds: float  # since it began

    @property
    def is_long(self) -> bool:
        """Whether it takes so long that progress is shown."""
        return self.seconds >= LONG_SECONDS


@dataclass(slots=True, eq=False)
class _Encoding:
    """An encoding under way."""

    began: float  # in seconds of the monotonic clock
    is_preempted: Callable[[], bool]  # whether a click on another image waits
    steps: tuple[int, int] = (0, 0)  # done, total
    is_cancelled: bool = False


_encoding_of_thread: ContextVar[_Encoding | None] = ContextVar("encoding", default=None)


class EncodingMonitor:
    """Reports and stops the encoding under way in a model; any thread may use it."""

    def __init__(self) -> None:
        self._encoding: _Encoding | None = None

    @property
    def progress(self) -> EncodingProgress | None:
        """How far the encoding under way has come; None when there is none."""
        encoding = self._encoding
        if encoding is None:
            return None
        return EncodingProgress(*encoding.steps, monotonic() - encoding.began)

    def cancel(self) -> None:
        """Stop the encoding under way before its next step; later ones are not concerned."""
        encoding = self._encoding
        if encoding is not None:
            encoding.is_cancelled = True

    @contextmanager
    def monitored(self, is_preempted: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Monitor what this thread encodes meanwhile.

        Once ``is_preempted`` returns true, the next `advance` raises `PreemptedError`.
        """
        self._encoding = encoding = _Encoding(monotonic(), is_preempted)
        token = _encoding_of_thread.set(encoding)
        try:
            yield
        finally:
            _encoding_of_thread.reset(token)
            self._encoding = None


def advance(done: int, total: int) -> None:
    """Report before a step of an encoder how many are done; backends call it.

    Raises
    ------
    CancelledError
        If the encoding was stopped.
    PreemptedError
        If a click on another image waits.
    """
    encoding = _encoding_of_thread.get()
    if encoding is None:
        return
    if encoding.is_cancelled:
        raise CancelledError("Encoding the image was stopped: prompt again to start anew.")
    if encoding.is_preempted():
        raise PreemptedError("Encoding the image was put off: a click on another one went first.")
    encoding.steps = done, total

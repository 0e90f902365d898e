"""Writing behind the one who goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock

MOST_WAITING = 2
"""One that is being written and one that waits; who brings another one waits for the first."""


class Writer:
    """Writes one thing after the other, beside the threads that bring them.

    Compressing and writing what a small model sees of an image takes about a third of the time
    that it looks at it, and somebody may be waiting for the answer: so it is written meanwhile.
    A program that ends without `finish` loses what was brought last.
    """

    def __init__(self) -> None:
        self._bringing = Lock()
        self._waiting: deque[Future[None]] = deque()
        self._thread: ThreadPoolExecutor | None = None

    def bring(self, write: Callable[[], None]) -> None:
        """Have something written, as soon as all but one of those before are."""
        with self._bringing:
            while len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft().result()
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "napari-sam3 keeps embeddings")
            with suppress(RuntimeError):  # Python ends, and takes no new work
                self._waiting.append(self._thread.submit(write))

    def finish(self) -> None:
        """Wait until everything is written."""
        with self._bringing:
            while self._waiting:
                self._waiting.popleft().result()

    def close(self) -> None:
        """Wait until everything is written, and end the thread."""
        self.finish()
        with self._bringing:
            if self._thread is not None:
                self._thread.shutdown()
            self._thread = None

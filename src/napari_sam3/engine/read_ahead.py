"""Reading frames while the model looks at those before them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from .images.picture import Picture
from .images.windows import Window

Name = tuple[int, Window | None]
"""A picture of a stack: its frame, and the part of it."""


class ReadAhead:
    """Reads pictures of a stack beside the thread that asks for them; use it in a ``with``.

    The one who asks is busy encoding, so reading on has to be done by somebody else: this has a
    thread of its own. Nothing is kept but what was expected last.

    Parameters
    ----------
    is_ready : callable
        Whether a picture need not be read, because its embedding is known.
    """

    def __init__(self, is_ready: Callable[[Picture], bool]) -> None:
        self._is_ready = is_ready
        self._reader = ThreadPoolExecutor(1, "napari-sam3 reads ahead")
        self._waiting: dict[Name, Future[NDArray[Any]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.clear()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def picture(self, picture: Picture) -> Picture:
        """Return the same picture, which takes what was read of it ahead; so do its copies."""
        return _Expected(
            picture.frames, picture.contrast, picture.frame, picture.window, reader=self
        )

    def expect(self, *pictures: Picture) -> None:
        """Begin to read the pictures that are wanted next, in this order."""
        wanted = {_name(one): one for one in pictures if self._is_worth_it(one)}
        known = self._waiting
        self._waiting = {
            name: known[name] if name in known else self._reader.submit(Picture.read, one)
            for name, one in wanted.items()
        }

    def pixels(self, picture: Picture) -> NDArray[Any]:
        """Return what is stored of a picture, (H, W, C), as soon as it is read.

        What was wrong with a frame is raised here, and not while another one is looked at.
        """
        read = self._waiting.pop(_name(picture), None)
        return Picture.read(picture) if read is None else read.result()

    def _is_worth_it(self, picture: Picture) -> bool:
        is_too_large = picture.frames.is_large and picture.window is None
        return not is_too_large and not self._is_ready(picture)


@dataclass(frozen=True, slots=True, eq=False)
class _Expected(Picture):
    """A picture that may have been read already."""

    reader: ReadAhead = field(kw_only=True)

    def read(self) -> NDArray[Any]:
        return self.reader.pixels(self)


def _name(picture: Picture) -> Name:
    return picture.frame, picture.window

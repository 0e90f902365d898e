"""A cache in memory that is bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that occupies bytes."""

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=Sized)


class BoundedCache(Generic[Key, Value]):
    """Values that together occupy at most so many bytes; the least recently used goes first.

    Any thread may use it. A value larger than the cache is not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = Lock()
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._sizes: dict[Key, int] = {}  # bytes of each value
        self._nbytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    @property
    def nbytes(self) -> int:
        """Bytes occupied now."""
        return self._nbytes

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None, and mark it as used."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Key, value: Value) -> list[tuple[Key, Value]]:
        """Keep a value; return what is evicted for it, or the value itself if it is too large."""
        nbytes = value.nbytes
        with self._lock:
            self._drop(key)
            if nbytes > self.max_bytes:
                return [(key, value)]
            self._values[key] = value
            self._sizes[key] = nbytes
            self._nbytes += nbytes
            evicted = []
            while self._nbytes > self.max_bytes:
                oldest = next(iter(self._values))
                evicted.append((oldest, self._values[oldest]))
                self._drop(oldest)
            return evicted

    def discard(self, is_unwanted: Callable[[Key], bool]) -> None:
        """Drop the values of all keys for which this is true."""
        with self._lock:
            for key in [key for key in self._values if is_unwanted(key)]:
                self._drop(key)

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._values.clear()
            self._sizes.clear()
            self._nbytes = 0

    def _drop(self, key: Key) -> None:
        self._values.pop(key, None)
        self._nbytes -= self._sizes.pop(key, 0)

"""The vectors of pictures and words, each made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..cache.bounded import BoundedCache
from ..finding.concepts import Candidates
from .crops import pictures_of

if TYPE_CHECKING:
    from .model import ClipModel  # torch takes seconds to import

PICTURE_BYTES = 2**25
"""What the vectors of pictures may occupy: those of some ten thousand candidates."""
WORD_BYTES = 2**22
"""The same for words."""

Key = TypeVar("Key", bytes, tuple[str, ...])
Vectors = NDArray[np.float32]
"""(N, C), each of length 1."""


class ClipVectors:
    """Asks a text model about pictures and words, and only what it was not asked before.

    Any thread may ask; one at a time is answered.
    """

    def __init__(self, model: ClipModel) -> None:
        self._model = model
        self._lock = Lock()
        self._pictures: BoundedCache[bytes, Vectors] = BoundedCache(PICTURE_BYTES)
        self._words: BoundedCache[tuple[str, ...], Vectors] = BoundedCache(WORD_BYTES)

    def check(self, sentences: Iterable[str]) -> None:
        """Refuse sentences that the model would not read to their end, or not understand."""
        with self._lock:  # tokenizers cannot be used by two threads at a time
            for sentence in sentences:
                self._model.check(sentence)

    def of_pictures(
        self, image: NDArray[np.float32], candidates: Candidates, positions: Sequence[int]
    ) -> Vectors:
        """Return the vectors of some candidates on an image (H, W, 3) of 0..1."""
        whole = blake2b(np.ascontiguousarray(image).data).digest()
        keys = [_key(whole, candidates, position) for position in positions]

        def look(new: Sequence[int]) -> Vectors:
            chosen = [positions[n] for n in new]
            return self._model.picture_vectors(pictures_of(image, candidates, chosen))

        with self._lock:
            return _completed(self._pictures, keys, look)

    def of_words(self, words: Sequence[tuple[str, ...]]) -> Vectors:
        """Return the vectors of words, each given by all sentences that are said for it."""

        def read(new: Sequence[int]) -> Vectors:
            sentences = [sentence for n in new for sentence in words[n]]
            vectors = self._model.text_vectors(sentences)
            ends = np.cumsum([len(words[n]) for n in new])
            means = [part.mean(axis=0) for part in np.split(vectors, ends[:-1])]
            return np.stack([mean / np.linalg.norm(mean) for mean in means])

        with self._lock:
            return _completed(self._words, words, read)


def _completed(
    cache: BoundedCache[Key, Vectors],
    keys: Sequence[Key],
    made: Callable[[Sequence[int]], Vectors],
) -> Vectors:
    """Return the vectors of keys, in order; those that are not kept yet are made in one go."""
    known = {key: vector for key in keys if (vector := cache.get(key)) is not None}
    first = {key: n for n, key in reversed(list(enumerate(keys))) if key not in known}
    new = sorted(first.values())
    for n, vector in zip(new, made(new) if new else (), strict=True):
        known[keys[n]] = vector
        cache.put(keys[n], vector)
    return np.stack([known[key] for key in keys])


def _key(image: bytes, candidates: Candidates, position: int) -> bytes:
    """Return what tells the picture of a candidate from all others."""
    digest = blake2b(image)
    digest.update(np.ascontiguousarray(candidates.boxes[position]).data)
    digest.update(np.ascontiguousarray(candidates.masks[position]).data)
    return digest.digest()

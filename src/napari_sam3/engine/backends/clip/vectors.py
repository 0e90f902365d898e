"""The vectors of pictures and words, each made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ....values import Candidates
from ...bounded_cache import BoundedCache

if TYPE_CHECKING:
    from .model import ClipModel

MARGIN = 1.3
"""A picture is so many times as wide and high as the longer side of its candidate."""
SMALLEST = 24
"""It has at least so many pixels along each side; smaller ones are nothing but blur."""
FADED = 0.5
"""How much of what lies around a candidate gives way to its mean colour."""


def pictures_of(
    image: NDArray[np.float32], candidates: Candidates, positions: Sequence[int]
) -> Iterator[NDArray[np.float32]]:
    """Yield a square picture (S, S, 3) of some candidates of an image (H, W, 3), both in 0..1.

    What surrounds a candidate is faded, neither kept nor erased: in a dense field its neighbours
    would speak for it, and a bare silhouette is nothing that a model has seen a caption for.
    """
    for position in positions:
        yield _picture(image, candidates.boxes[position], candidates.masks[position])


def _picture(
    image: NDArray[np.float32], box: NDArray[np.int64], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    side = max(SMALLEST, round(MARGIN * float((box[2:] - box[:2]).max())))
    rows = _span(int(box[0] + box[2]) // 2, side, image.shape[0])
    cols = _span(int(box[1] + box[3]) // 2, side, image.shape[1])
    picture = image[rows.start : rows.stop, cols.start : cols.stop].copy()
    inside = np.zeros(picture.shape[:2], bool)
    top, left = box[0] - rows.start, box[1] - cols.start
    inside[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    outside = picture[~inside]
    if len(outside):
        picture[~inside] += FADED * (outside.mean(axis=0) - outside)
    return _squared(picture, side)


def _span(centre: int, side: int, size: int) -> range:
    """Return so many pixels around a centre, moved into an image of this size."""
    first = max(0, min(centre - side // 2, size - side))
    return range(first, min(first + side, size))


def _squared(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Repeat the border of a picture where the image is smaller than it should be."""
    missing = [side - size for size in picture.shape[:2]]
    if not any(missing):
        return picture
    around = [(count // 2, count - count // 2) for count in missing]
    return np.pad(picture, [*around, (0, 0)], mode="edge")


CROP_BYTES = 2**25
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
        self._crops: BoundedCache[bytes, Vectors] = BoundedCache(CROP_BYTES)
        self._words: BoundedCache[tuple[str, ...], Vectors] = BoundedCache(WORD_BYTES)

    def check(self, sentences: Iterable[str]) -> None:
        """Refuse sentences that the model would not read to their end, or not understand."""
        with self._lock:  # tokenizers cannot be used by two threads at a time
            for sentence in sentences:
                self._model.check(sentence)

    def of_crops(
        self, image: NDArray[np.float32], candidates: Candidates, positions: Sequence[int]
    ) -> Vectors:
        """Return the vectors of some candidates on an image (H, W, 3) of 0..1."""
        whole = blake2b(np.ascontiguousarray(image).data).digest()
        keys = [_key(whole, candidates, position) for position in positions]

        def look(new: Sequence[int]) -> Vectors:
            chosen = [positions[n] for n in new]
            return self._model.image_vectors(pictures_of(image, candidates, chosen))

        with self._lock:
            return _completed(self._crops, keys, look)

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

"""The CLIP embeddings of crops and words, each made once."""

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

CROP_BYTES = 2**25
"""What the embeddings of crops may occupy: those of some ten thousand candidates."""
WORD_BYTES = 2**22
"""The same for words."""
MARGIN = 1.3
"""A crop is so many times as wide and high as the longer side of its candidate."""
SMALLEST_CROP = 24
"""It has at least so many pixels along each side; smaller ones are nothing but blur."""
FADED = 0.5
"""How much of the surroundings of a candidate gives way to their mean colour."""

Key = TypeVar("Key", bytes, tuple[str, ...])
UnitEmbeddings = NDArray[np.float32]
"""(N, C), each of length 1."""


class ClipEmbeddings:
    """Encodes crops and words with a text model, and keeps the embeddings.

    Any thread may call it; one at a time is served.
    """

    def __init__(self, model: ClipModel) -> None:
        self._model = model
        self._lock = Lock()
        self._crops: BoundedCache[bytes, UnitEmbeddings] = BoundedCache(CROP_BYTES)
        self._words: BoundedCache[tuple[str, ...], UnitEmbeddings] = BoundedCache(WORD_BYTES)

    def check(self, sentences: Iterable[str]) -> None:
        """Refuse sentences that the model would not read to their end, or not understand."""
        with self._lock:  # tokenizers cannot be used by two threads at a time
            for sentence in sentences:
                self._model.check(sentence)

    def of_crops(
        self, image: NDArray[np.float32], candidates: Candidates, positions: Sequence[int]
    ) -> UnitEmbeddings:
        """Return the embeddings of some candidates on an image (H, W, 3) of 0..1."""
        image_hash = blake2b(np.ascontiguousarray(image).data).digest()
        keys = [_crop_key(image_hash, candidates, position) for position in positions]

        def encode(new: Sequence[int]) -> UnitEmbeddings:
            crops = cut_crops(image, candidates, [positions[n] for n in new])
            return self._model.encode_images(crops)

        with self._lock:
            return _completed(self._crops, keys, encode)

    def of_words(self, words: Sequence[tuple[str, ...]]) -> UnitEmbeddings:
        """Return the embeddings of words, each the mean over all sentences for it."""

        def encode(new: Sequence[int]) -> UnitEmbeddings:
            sentences = [sentence for n in new for sentence in words[n]]
            embeddings = self._model.encode_texts(sentences)
            ends = np.cumsum([len(words[n]) for n in new])
            means = [part.mean(axis=0) for part in np.split(embeddings, ends[:-1])]
            return np.stack([mean / np.linalg.norm(mean) for mean in means])

        with self._lock:
            return _completed(self._words, words, encode)


def _completed(
    cache: BoundedCache[Key, UnitEmbeddings],
    keys: Sequence[Key],
    encode: Callable[[Sequence[int]], UnitEmbeddings],
) -> UnitEmbeddings:
    """Return the embeddings of keys, in order; those that are not kept are encoded together."""
    known = {key: embedding for key in keys if (embedding := cache.get(key)) is not None}
    first = {key: n for n, key in reversed(list(enumerate(keys))) if key not in known}
    new = sorted(first.values())
    for n, embedding in zip(new, encode(new) if new else (), strict=True):
        known[keys[n]] = embedding
        cache.put(keys[n], embedding)
    return np.stack([known[key] for key in keys])


def _crop_key(image_hash: bytes, candidates: Candidates, position: int) -> bytes:
    """Return the content hash of the crop of a candidate."""
    digest = blake2b(image_hash)
    digest.update(np.ascontiguousarray(candidates.boxes[position]).data)
    digest.update(np.ascontiguousarray(candidates.masks[position]).data)
    return digest.digest()


def cut_crops(
    image: NDArray[np.float32], candidates: Candidates, positions: Sequence[int]
) -> Iterator[NDArray[np.float32]]:
    """Yield a square crop (S, S, 3) of some candidates of an image (H, W, 3), both in 0..1.

    What surrounds a candidate is faded, neither kept nor erased: in a dense field its neighbours
    would count as much as it, and no model was trained with captions of bare silhouettes.
    """
    for position in positions:
        yield _crop(image, candidates.boxes[position], candidates.masks[position])


def _crop(
    image: NDArray[np.float32], box: NDArray[np.int64], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    side = max(SMALLEST_CROP, round(MARGIN * float((box[2:] - box[:2]).max())))
    rows = _span(int(box[0] + box[2]) // 2, side, image.shape[0])
    cols = _span(int(box[1] + box[3]) // 2, side, image.shape[1])
    crop = image[rows.start : rows.stop, cols.start : cols.stop].copy()
    inside = np.zeros(crop.shape[:2], bool)
    top, left = box[0] - rows.start, box[1] - cols.start
    inside[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    outside = crop[~inside]
    if len(outside):
        crop[~inside] += FADED * (outside.mean(axis=0) - outside)
    return _padded(crop, side)


def _span(centre: int, side: int, size: int) -> range:
    """Return so many pixels around a centre, moved into an image of this size."""
    first = max(0, min(centre - side // 2, size - side))
    return range(first, min(first + side, size))


def _padded(crop: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Pad a crop with its border where the image is smaller than the crop should be."""
    missing = [side - size for size in crop.shape[:2]]
    if not any(missing):
        return crop
    padding = [(count // 2, count - count // 2) for count in missing]
    return np.pad(crop, [*padding, (0, 0)], mode="edge")

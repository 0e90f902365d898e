"""Objects found without being prompted one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .boxes import Box, Corners
from .errors import ModelError
from .masks import Mask
from .prompts import cut_off

Appearance = Mapping[str, NDArray[np.float32]]
"""Appearance descriptor of an object: named arrays that only the model that made them reads."""

MARGIN = 0.5
"""How much of its surroundings is on the thumbnail of an object, relative to its longer side."""
THUMBNAIL_SIDE = 256
"""Longest side of a thumbnail, in pixels; larger cut-outs are subsampled."""


@dataclass(frozen=True, slots=True, eq=False)
class Exemplar:
    """An object to find more of, or one to leave out, as a model saw it."""

    appearance: Appearance
    model: str  # name of the model that saw it
    revision: str  # of that model; no other model can read the appearance
    thumbnail: NDArray[np.uint8]  # (h, w, 3), the object and its surroundings as they were shown
    box: Corners  # around the object, in pixels of the thumbnail
    is_positive: bool = True  # whether such objects are to be found; if not, they are left out

    def negated(self) -> Self:
        """Return the same object as one to leave out."""
        return replace(self, is_positive=False)

    def check(self, model: str, revision: str) -> None:
        """Refuse another model than the one that saw it."""
        if weights_of(self.revision) != weights_of(revision):
            raise ModelError(
                f"The exemplar was drawn with the model {self.model}, which {model} cannot read: "
                "draw it again, or load that model."
            )


def clipped(box: Corners, shape: tuple[int, int]) -> Corners:
    """Cut a box off where an image (H, W) ends."""
    row0, col0, row1, col1 = cut_off(box, shape).tolist()
    return row0, col0, row1, col1


def weights_of(revision: str) -> str:
    """Name the weights of a model, whatever dtype it computes in."""
    return revision.removesuffix("-bfloat16").removesuffix("-float32")


def cut_thumbnail(image: NDArray[np.float32], box: Corners) -> tuple[NDArray[np.uint8], Corners]:
    """Cut the surroundings of a box out of an image, (H, W, 3) in 0..1.

    Returns
    -------
    thumbnail : (h, w, 3) uint8
    box : Corners
        The box in pixels of the thumbnail.
    """
    corners = np.sort(np.reshape(box, (2, 2)), axis=0)
    margin = MARGIN * float((corners[1] - corners[0]).max())
    first = np.clip(np.floor(corners[0] - margin), 0, np.array(image.shape[:2]) - 1).astype(int)
    last = np.clip(np.ceil(corners[1] + margin) + 1, first + 1, image.shape[:2]).astype(int)
    step = -(-int((last - first).max()) // THUMBNAIL_SIDE)
    seen = image[first[0] : last[0] : step, first[1] : last[1] : step]
    row0, col0, row1, col1 = ((corners - first) / step).ravel().tolist()
    return (np.clip(seen, 0, 1) * 255).round().astype(np.uint8), (row0, col0, row1, col1)


@dataclass(frozen=True, slots=True, eq=False)
class Concept:
    """What describes all objects to find: a text, exemplars, or both.

    A box lies on the image that is searched; an `Exemplar` may come from any image.
    """

    text: str | None = None
    exemplars: Sequence[Corners | Exemplar] = field(default=())  # objects to find
    negatives: Sequence[Corners | Exemplar] = field(default=())  # objects to leave out

    @classmethod
    def of(
        cls,
        text: str | None,
        exemplars: Sequence[Corners | Exemplar],
        negatives: Sequence[Corners | Exemplar],
    ) -> Self:
        """Put exemplars that are not positive with the negatives."""
        negated = [exemplar for exemplar in exemplars if _is_negative(exemplar)]
        positive = [exemplar for exemplar in exemplars if not _is_negative(exemplar)]
        return cls(text, tuple(positive), (*negated, *negatives))

    def clipped(self, shape: tuple[int, int]) -> Self:
        """Return the same concept, with the boxes cut off where an image (H, W) ends."""
        exemplars, negatives = (
            tuple(
                exemplar if isinstance(exemplar, Exemplar) else clipped(exemplar, shape)
                for exemplar in kind
            )
            for kind in (self.exemplars, self.negatives)
        )
        return replace(self, exemplars=exemplars, negatives=negatives)

    @property
    def is_empty(self) -> bool:
        """Whether neither a text nor an exemplar describes it."""
        return not self.has_text and not len(self.exemplars)

    @property
    def has_text(self) -> bool:
        """Whether words are part of it."""
        return bool((self.text or "").strip())

    @property
    def boxes(self) -> list[Corners]:
        """All boxes, those of exemplars first."""
        return boxes_of([*self.exemplars, *self.negatives])

    @property
    def shown(self) -> list[Exemplar]:
        """All exemplars that may come from another image, the positive ones first."""
        return exemplars_of([*self.exemplars, *self.negatives])


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Masks of one image that may be objects, kept so that a threshold can be moved afterwards."""

    shape: tuple[int, int]  # (H, W) of the image
    boxes: NDArray[np.int64]  # (N, 4): first row, first col, last row + 1, last col + 1
    masks: tuple[NDArray[np.bool_], ...]  # N crops of the size of their boxes
    scores: NDArray[np.float64]  # (N,) in 0..1
    frame: int = 0
    is_saturated: bool = False  # whether the model had no queries left, so that some may be missing
    tiles_searched: int = 1  # tiles that the model decoded to find them

    @classmethod
    def of(cls, masks: Sequence[Mask], shape: tuple[int, int]) -> Self:
        """Keep masks of an image (H, W), with their scores, in their order."""
        return cls(
            shape,
            np.array([mask.box for mask in masks], np.int64).reshape(-1, 4),
            tuple(mask.crop for mask in masks),
            np.array([mask.score for mask in masks], np.float64),
        )

    def mask(self, position: int) -> Mask:
        """Return one of the candidates."""
        box, score = Box(*self.boxes[position].tolist()), float(self.scores[position])
        return Mask(self.masks[position], box, self.shape, score, frame=self.frame)

    def __len__(self) -> int:
        """Return how many candidates there are, above any threshold or below it."""
        return len(self.scores)

    @property
    def areas(self) -> NDArray[np.int64]:
        """Number of pixels of every candidate, (N,)."""
        return np.array([np.count_nonzero(mask) for mask in self.masks], np.int64)

    @property
    def touches_border(self) -> NDArray[np.bool_]:
        """Whether a candidate reaches the border of the image, (N,)."""
        first, last = self.boxes[:, :2], self.boxes[:, 2:]
        return np.asarray(((first <= 0) | (last >= self.shape)).any(axis=1))

    def within(self, region: Corners | None) -> Self:
        """Return the candidates whose middle is in a region of the image."""
        return self if region is None else self.taken(np.flatnonzero(self._is_within(region)))

    def replacing(self, earlier: Candidates, region: Corners) -> Self:
        """Return the candidates, found in a region, behind earlier ones of the image outside it."""
        kept = earlier.taken(np.flatnonzero(~earlier._is_within(region)))
        return replace(
            self,
            boxes=np.concatenate([kept.boxes, self.boxes]),
            masks=(*kept.masks, *self.masks),
            scores=np.concatenate([kept.scores, self.scores]),
            is_saturated=self.is_saturated or earlier.is_saturated,
            tiles_searched=self.tiles_searched + earlier.tiles_searched,
        )

    def taken(self, positions: Sequence[int] | NDArray[np.int64]) -> Self:
        """Return the candidates at these positions, in this order."""
        kept = np.asarray(positions, np.int64)
        masks = tuple(self.masks[position] for position in kept)
        return replace(self, boxes=self.boxes[kept], masks=masks, scores=self.scores[kept])

    def _is_within(self, region: Corners) -> NDArray[np.bool_]:
        first, last = np.sort(np.reshape(region, (2, 2)), axis=0)
        middles = (self.boxes[:, :2] + self.boxes[:, 2:] - 1) / 2
        return np.asarray(((middles >= first) & (middles <= last)).all(axis=1))

    def labels(self, threshold: float = 0.5) -> NDArray[np.int32]:
        """Draw the candidates of at least this score, (H, W); the better one is on top.

        Label values are positions in ``scores`` plus one, so they stay when the threshold moves.
        """
        labels = np.zeros(self.shape, np.int32)
        for index in np.argsort(self.scores, kind="stable"):
            if self.scores[index] < threshold:
                continue
            top, left, bottom, right = self.boxes[index]
            labels[top:bottom, left:right][self.masks[index]] = index + 1
        return labels


def boxes_of(exemplars: Sequence[Corners | Exemplar]) -> list[Corners]:
    """Return the boxes, which lie on the image that is searched."""
    return [exemplar for exemplar in exemplars if not isinstance(exemplar, Exemplar)]


def exemplars_of(exemplars: Sequence[Corners | Exemplar]) -> list[Exemplar]:
    """Return the exemplars that may come from any image."""
    return [exemplar for exemplar in exemplars if isinstance(exemplar, Exemplar)]


def _is_negative(exemplar: Corners | Exemplar) -> bool:
    return isinstance(exemplar, Exemplar) and not exemplar.is_positive

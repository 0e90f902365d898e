"""Asking the embedded network about crops of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .network import Decoded, Features, Memory, Network
from .pyramid import Crop, Pyramid

SIDE = 56
"""Rows and columns of a map: half the crop."""
NARROW, WIDE = 2.5, 12.0
"""Radii of the two spots drawn for a click, in pixels."""

Maps = npt.NDArray[np.float32]
_CENTRES = np.arange(SIDE, dtype=np.float32) * 2 + 0.5


def render(
    points: Sequence[tuple[float, float]] = (),
    positive: Sequence[bool] = (),
    box: tuple[float, float, float, float] | None = None,
    previous_logits: npt.NDArray[np.floating] | None = None,
    mask: npt.NDArray[np.bool_ | np.floating] | None = None,
) -> Maps:
    """Draw all prompts on one crop.

    Parameters
    ----------
    points : clicks, (row, col).
    positive : for every click, whether it lies inside the object.
    box : row0, col0, row1, col1 of its edges: around pixels 3..7 they are 2.5 and 7.5.
    previous_logits : (56, 56) the reading that these prompts correct.
    mask : (112, 112) the object, or a guess at it, on the pixels of the crop.

    Returns
    -------
    (7, 56, 56): clicks inside narrow, wide; outside narrow, wide; box; correction; mask.
    """
    maps = np.zeros((7, SIDE, SIDE), np.float32)
    for point, inside in zip(points, positive, strict=True):
        add_click(maps, point, inside)
    if box is not None:
        maps[4] = _box(box)
    if previous_logits is not None:
        maps[5] = np.tanh(previous_logits / 4)
    if mask is not None:
        maps[6] = halved(mask) * 2 - 1
    return maps


def add_click(maps: Maps, point: tuple[float, float], inside: bool) -> None:
    """Draw one more click into `maps`, in place."""
    row, col = point
    squared = (_CENTRES[:, None] - row) ** 2 + (_CENTRES - col) ** 2
    first = 0 if inside else 2
    for plane, radius in zip(maps[first : first + 2], (NARROW, WIDE), strict=True):
        np.maximum(plane, np.exp(-squared / (2 * radius**2)), out=plane)


def halved(mask: npt.NDArray[np.bool_ | np.floating]) -> npt.NDArray[np.float32]:
    """Average `mask` over 2 x 2 pixels."""
    rows, cols = mask.shape
    blocks = mask.astype(np.float32).reshape(rows // 2, 2, cols // 2, 2)
    return blocks.mean((1, 3), dtype=np.float32)


def _box(box: tuple[float, float, float, float]) -> npt.NDArray[np.float32]:
    row0, col0, row1, col1 = box
    rows = _soft_inside(row0, row1)
    cols = _soft_inside(col0, col1)
    return np.asarray(rows[:, None] * cols, np.float32)


def _soft_inside(start: float, stop: float) -> npt.NDArray[np.float32]:
    depth = np.clip(np.minimum(_CENTRES - start, stop - _CENTRES), -8, 8)
    return np.asarray(1 / (1 + np.exp(-depth)), np.float32)


BATCH = 16
"""How many questions are decoded at once: as many as stay in the cache of a processor."""
OUTSIDE = -10.0
"""Logit where a crop ends."""


@dataclass(frozen=True, slots=True, eq=False)
class DecoderQuery:
    """What is asked on one crop."""

    crop: Crop
    maps: Maps  # (7, 56, 56) the prompts, drawn
    memory: Memory | None = None  # of one object: (1, 64, 28, 28) and (1, 1, 28, 28)
    first: Memory | None = None  # of the same object on the frame it was outlined on


@dataclass(frozen=True, slots=True, eq=False)
class DecoderOutput:
    """One reading of one crop."""

    crop: Crop
    logits: NDArray[np.float32]  # (56, 56), positive inside the mask
    score: float  # predicted intersection over union, 0..1
    presence: float = 1.0  # how sure the network is that the object is there, 0..1
    middle: float = 1.0  # how clearly the dense head sees the middle of an object in it, 0..1

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.logits.nbytes

    @property
    def box(self) -> NDArray[np.float64]:
        """First and last (row, col, row, col) inside the mask, in pixels of the image."""
        rows = np.flatnonzero((self.logits > 0).any(1))
        cols = np.flatnonzero((self.logits > 0).any(0))
        if not len(rows):
            return np.full(4, np.nan)
        corners = np.array([rows[0] * 2, cols[0] * 2, rows[-1] * 2 + 2, cols[-1] * 2 + 2])
        return (corners + np.tile([self.crop.row, self.crop.col], 2)) / self.crop.scale - 0.5

    @property
    def size(self) -> float:
        """Side of a square as large as the mask, in pixels of the image."""
        return float(np.sqrt(np.count_nonzero(self.logits > 0))) * 2 / self.crop.scale

    @property
    def cut_share(self) -> float:
        """Share of the crop's border that the mask touches."""
        inside = self.logits > 0
        return float(np.mean([inside[0], inside[-1], inside[:, 0], inside[:, -1]]))

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits at points of the image, (N, 2)."""
        places = ((self.crop.points(points) - 0.5) / 2).T
        values = ndimage.map_coordinates(
            self.logits, places, order=1, mode="constant", cval=OUTSIDE
        )
        return np.asarray(values, np.float64)

    def seen_from(self, crop: Crop) -> NDArray[np.float32]:
        """Logits on another crop, (56, 56)."""
        if crop == self.crop:
            return self.logits
        step = self.crop.scale / crop.scale
        corner = np.array([crop.row, crop.col], np.float64)
        first = ((corner + 1) * step - 1 - [self.crop.row, self.crop.col]) / 2
        moved = ndimage.affine_transform(
            self.logits, [step, step], first, (SIDE, SIDE), order=1, cval=OUTSIDE
        )
        return np.asarray(moved, np.float32)


def ask(
    network: Network, pyramid: Pyramid, questions: Sequence[DecoderQuery]
) -> list[list[DecoderOutput]]:
    """Answer questions on one image: for each, its three readings.

    Either all questions come with a memory or none does.
    """
    answers: list[list[DecoderOutput]] = []
    for start in range(0, len(questions), BATCH):
        batch = questions[start : start + BATCH]
        features = pyramid.cut(network, [question.crop for question in batch])
        decoded = _decode(network, features, batch)
        answers += _guesses(batch, decoded, _middles(features, decoded))
    return answers


def _decode(network: Network, features: Features, batch: Sequence[DecoderQuery]) -> Decoded:
    maps = torch.from_numpy(np.stack([question.maps for question in batch]))
    fine, coarse, maps = map(_last, (features.fine, features.coarse, maps.to(features.fine.device)))
    memories = [question.memory for question in batch if question.memory is not None]
    firsts = [question.first for question in batch if question.first is not None]
    if memories:
        return network.propagate(fine, coarse, maps, _together(memories), _together(firsts))
    return network.decode(fine, coarse, maps)


def _together(memories: Sequence[Memory]) -> Memory:
    return Memory(*(torch.cat(parts).float() for parts in zip(*memories, strict=True)))


def _middles(features: Features, decoded: Decoded) -> Tensor:
    """Return the highest centre distance inside each reading, (N, 3)."""
    centre = torch.sigmoid(features.dense[:, 1:2].float())
    return (centre * (decoded.logits > 0)).amax((2, 3))


def _last(tensor: Tensor) -> Tensor:
    return tensor.float().contiguous(memory_format=torch.channels_last)


def _guesses(
    batch: Sequence[DecoderQuery], decoded: Decoded, middles: Tensor
) -> list[list[DecoderOutput]]:
    logits = decoded.logits.float().cpu().numpy()
    scores = decoded.scores.float().clamp(0, 1).cpu().numpy()
    presence = torch.sigmoid(decoded.presence.float()).cpu().numpy()
    return [
        [
            DecoderOutput(
                question.crop,
                logits[n, k].copy(),  # so that one guess does not keep those of its whole batch
                float(scores[n, k]),
                float(presence[n]),
                float(middles[n, k]),
            )
            for k in range(logits.shape[1])
        ]
        for n, question in enumerate(batch)
    ]

"""Decoder queries on crops of a feature pyramid, and the outputs that the network decodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .feature_pyramid import Crop, FeaturePyramid
from .network import Features, Memory, MultimaskOutput, Network

PLANE_SIDE = 56
"""Rows and columns of prompt planes and mask logits: half the crop."""
BATCH = 16
"""How many queries are decoded at once: as many as stay in the cache of a processor."""
OUTSIDE = -10.0
"""Logit where a crop ends."""


@dataclass(frozen=True, slots=True, eq=False)
class DecoderQuery:
    """The prompts of one object on one crop, and its memory if it is propagated."""

    crop: Crop
    planes: NDArray[np.float32]  # (7, 56, 56) the encoded prompts
    memory: Memory | None = None  # of one object: (1, 64, 28, 28) and (1, 1, 28, 28)
    first: Memory | None = None  # of the same object on the frame it was outlined on


@dataclass(frozen=True, slots=True, eq=False)
class DecoderOutput:
    """One mask hypothesis on one crop."""

    crop: Crop
    logits: NDArray[np.float32]  # (56, 56), positive inside the mask
    score: float  # predicted intersection over union, 0..1
    presence: float = 1.0  # how sure the network is that the object is there, 0..1
    centre: float = 1.0  # highest centre distance of the dense head inside the mask, 0..1

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

    def logits_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate the logits at points of the image, (N, 2)."""
        cells = ((self.crop.points(points) - 0.5) / 2).T
        values = ndimage.map_coordinates(self.logits, cells, order=1, mode="constant", cval=OUTSIDE)
        return np.asarray(values, np.float64)

    def logits_on(self, crop: Crop) -> NDArray[np.float32]:
        """Interpolate the logits on another crop, (56, 56)."""
        if crop == self.crop:
            return self.logits
        step = self.crop.scale / crop.scale
        corner = np.array([crop.row, crop.col], np.float64)
        first = ((corner + 1) * step - 1 - [self.crop.row, self.crop.col]) / 2
        moved = ndimage.affine_transform(
            self.logits, [step, step], first, (PLANE_SIDE, PLANE_SIDE), order=1, cval=OUTSIDE
        )
        return np.asarray(moved, np.float32)


def decode_objects(
    network: Network, pyramid: FeaturePyramid, queries: Sequence[Sequence[DecoderQuery]]
) -> list[list[DecoderOutput]]:
    """Decode several queries of each of several objects, and return the outputs by object."""
    outputs = iter(decode_queries(network, pyramid, [query for own in queries for query in own]))
    return [[output for _ in own for output in next(outputs)] for own in queries]


def decode_queries(
    network: Network, pyramid: FeaturePyramid, queries: Sequence[DecoderQuery]
) -> list[list[DecoderOutput]]:
    """Decode queries on one image, and return the three mask hypotheses of each.

    Either all queries come with a memory or none does.
    """
    outputs: list[list[DecoderOutput]] = []
    for start in range(0, len(queries), BATCH):
        batch = queries[start : start + BATCH]
        features = pyramid.cut_crops(network, [query.crop for query in batch])
        masks = _decode_batch(network, features, batch)
        outputs += _split(batch, masks, _highest_centres(features, masks))
    return outputs


def _decode_batch(
    network: Network, features: Features, batch: Sequence[DecoderQuery]
) -> MultimaskOutput:
    planes = torch.from_numpy(np.stack([query.planes for query in batch]))
    fine, coarse, planes = map(
        _channels_last, (features.fine, features.coarse, planes.to(features.fine.device))
    )
    memories = [query.memory for query in batch if query.memory is not None]
    firsts = [query.first for query in batch if query.first is not None]
    if memories:
        return network.propagate(fine, coarse, planes, _stacked(memories), _stacked(firsts))
    return network.decode(fine, coarse, planes)


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.float().contiguous(memory_format=torch.channels_last)


def _stacked(memories: Sequence[Memory]) -> Memory:
    return Memory(*(torch.cat(parts).float() for parts in zip(*memories, strict=True)))


def _highest_centres(features: Features, masks: MultimaskOutput) -> Tensor:
    """Return the highest centre distance inside each mask hypothesis, (N, 3)."""
    centre = torch.sigmoid(features.dense[:, 1:2].float())
    return (centre * (masks.logits > 0)).amax((2, 3))


def _split(
    batch: Sequence[DecoderQuery], masks: MultimaskOutput, centres: Tensor
) -> list[list[DecoderOutput]]:
    """Return the outputs of a batch query by query."""
    logits = masks.logits.float().cpu().numpy()
    scores = masks.scores.float().clamp(0, 1).cpu().numpy()
    presence = torch.sigmoid(masks.presence.float()).cpu().numpy()
    return [
        [
            DecoderOutput(
                query.crop,
                logits[n, k].copy(),  # so that no output keeps those of its whole batch
                float(scores[n, k]),
                float(presence[n]),
                float(centres[n, k]),
            )
            for k in range(logits.shape[1])
        ]
        for n, query in enumerate(batch)
    ]

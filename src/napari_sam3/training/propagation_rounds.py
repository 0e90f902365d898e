"""Following objects from the first frame to the one before, and from there to the present one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..engine.backends.embedded.network import (
    COARSE_STRIDE,
    CROP,
    FINE_STRIDE,
    Decoded,
    Features,
    Memory,
    Network,
)
from .losses import Judged, prompt_loss
from .prompt_rounds import cut, drawn
from .propagation_samples import PropagationBatch
from .trainer import RunningMetrics

OWN = 0.6
"""Share of the objects that are followed on from what the network drew, where it found them."""
FOUND = 0.3
"""Overlap from which on it did."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Where the network saw some objects of a batch."""

    step: int  # 0 for the frame before, 1 for the present one
    asked: npt.NDArray[np.intp]
    """(N,) which samples of the batch it was asked about."""
    decoded: Decoded
    judged: Judged
    targets: Tensor
    """(N, 112, 112) bool"""

    def count(self, metrics: RunningMetrics) -> None:
        """Count overlaps of what is there, and how often it is known what is there and what not."""
        there = self.targets.flatten(1).any(1).cpu().numpy()
        first = self.judged.overlaps.gather(1, self.judged.first[:, None])[:, 0]
        sure = self.decoded.presence.detach().float().cpu().numpy() > 0
        metrics.count(f"follow{self.step}", first.detach().cpu().numpy()[there])
        metrics.count(f"seen{self.step}", sure[there])
        metrics.count(f"gone{self.step}", ~sure[~there])


class PropagationRounds:
    """Follows the objects of one batch; nothing but the follower learns by it."""

    def __init__(self, network: Network, batch: PropagationBatch, device: torch.device) -> None:
        self._network = network
        self._device = device
        self._samples = batch.samples
        self._first, self._before, self._now = self._encoded(batch)

    def found(self, rng: np.random.Generator) -> Iterator[Found]:
        """Follow to the frame before where objects are near, and all objects to the present one.

        Some of those are followed from the outline that was drawn on the way.
        """
        outlined, before = self._masks("outlined"), self._masks("before")
        first = self._memory(self._first, outlined, 0)
        near = np.flatnonzero([sample.is_near for sample in self._samples])
        if len(near):
            on_the_way = self._ask(0, near, outlined, (first, first))
            yield on_the_way
            self._redraw(before, on_the_way, rng)
        everyone = np.arange(len(self._samples))
        memory = self._memory(self._before, before, 1)
        yield self._ask(1, everyone, before, (memory, first))

    @torch.no_grad()
    def _encoded(self, batch: PropagationBatch) -> list[Features]:
        frames = self._tensor(batch.frames)
        with self._mixed_precision():
            features = self._network.encode(frames.flatten(0, 1))
        parts = [part.unflatten(0, frames.shape[:2]) for part in features]
        return [Features(*(part[number] for part in parts)) for number in range(len(frames))]

    def _ask(
        self,
        step: int,
        asked: npt.NDArray[np.intp],
        outlines: Tensor,
        memories: tuple[Memory, Memory],
    ) -> Found:
        frame = (self._before, self._now)[step]
        chosen = torch.from_numpy(asked).to(self._device)
        fine, coarse = (
            self._cut(maps, step, stride)[chosen].contiguous(memory_format=torch.channels_last)
            for maps, stride in ((frame.fine, FINE_STRIDE), (frame.coarse, COARSE_STRIDE))
        )
        maps = fine.new_zeros(len(asked), 7, CROP // 2, CROP // 2, dtype=torch.float32)
        maps[:, 6] = F.avg_pool2d(outlines[chosen], 2)[:, 0] * 2 - 1
        last, first = (Memory(*(part[chosen] for part in memory)) for memory in memories)
        with self._mixed_precision():
            decoded = self._network.propagation_decoder(fine, coarse, maps, last, first)
        targets = self._targets(step)[chosen]
        return Found(step, asked, decoded, prompt_loss(decoded, targets, maps[:, 4]), targets)

    @torch.no_grad()
    def _redraw(self, outlines: Tensor, found: Found, rng: np.random.Generator) -> None:
        """Put what was found on the frame before in the place of some outlines, in place."""
        sure = found.decoded.presence.float() > 0
        masks = drawn(found.decoded) * sure[:, None, None, None]
        own = rng.random(len(found.asked)) < OWN
        for row in np.flatnonzero(own):
            sample = int(found.asked[row])
            corners = self._samples[sample].origins
            mask = _seen_from(masks[row], np.subtract(corners[1], corners[0]))
            truth, answer = outlines[sample] > 0.5, mask > 0.5
            if (truth & answer).sum() > FOUND * (truth | answer).sum():
                outlines[sample] = mask

    def _memory(self, frame: Features, outlines: Tensor, step: int) -> Memory:
        coarse = self._cut(frame.coarse, step, COARSE_STRIDE)
        return Memory(coarse, F.avg_pool2d(outlines, COARSE_STRIDE).to(coarse.dtype))

    def _cut(self, maps: Tensor, step: int, stride: int) -> Tensor:
        """Cut the crop of every sample out, as it lies on the first frame, or on the one before."""
        origins = [sample.origins[step] for sample in self._samples]
        return cut(maps, origins, len(origins) // len(maps), stride)

    def _masks(self, name: str) -> Tensor:
        """Return masks (N, 1, 112, 112) of all samples."""
        masks = np.stack([getattr(sample, name) for sample in self._samples])
        return self._tensor(masks).float()[:, None]

    def _targets(self, step: int) -> Tensor:
        return self._tensor(np.stack([sample.targets[step] for sample in self._samples]))

    def _tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _mixed_precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16)


def _seen_from(mask: Tensor, corner: Sequence[int] | npt.NDArray[np.intp]) -> Tensor:
    """See a mask (1, 112, 112) on a crop whose corner lies so far down and to the right."""
    wide = F.pad(mask, (CROP,) * 4)
    row, col = (int(np.clip(CROP + far, 0, 2 * CROP)) for far in corner)
    return wide[:, row : row + CROP, col : col + CROP]

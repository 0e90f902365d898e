"""Rounds of propagation: from the first to the previous frame, and on to the current frame."""

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
    Features,
    Memory,
    MultimaskOutput,
    Network,
)
from .losses import PromptLoss, prompt_loss
from .prompt_rounds import RunningMetrics, as_tensor, cut_crops, first_masks, mixed_precision
from .propagation_samples import PropagationBatch

OWN_MASK_SHARE = 0.6
"""Share of the objects that are propagated from the network's own mask, where it is good enough."""
OWN_MASK_IOU = 0.3
"""Intersection over union with the true mask from which on it is."""


@dataclass(frozen=True, slots=True, eq=False)
class PropagationRound:
    """The predictions for objects of a batch on their next frame."""

    step: int  # 0 to the previous frame, 1 to the current frame
    indices: npt.NDArray[np.intp]
    """(N,) the samples of the batch that are propagated."""
    output: MultimaskOutput
    loss: PromptLoss
    targets: Tensor
    """(N, 112, 112) bool"""

    def add_to(self, metrics: RunningMetrics) -> None:
        """Add the IoU of objects that are there, and how often presence and absence are right."""
        is_there = self.targets.flatten(1).any(1).cpu().numpy()
        first = self.loss.ious.gather(1, self.loss.first[:, None])[:, 0]
        is_predicted = self.output.presence.detach().float().cpu().numpy() > 0
        metrics.add(f"propagate{self.step}", first.detach().cpu().numpy()[is_there])
        metrics.add(f"present{self.step}", is_predicted[is_there])
        metrics.add(f"absent{self.step}", ~is_predicted[~is_there])


class PropagationRounds:
    """Propagates the objects of a batch; only the propagation decoder is trained."""

    def __init__(self, network: Network, batch: PropagationBatch, device: torch.device) -> None:
        self._network = network
        self._device = device
        self._samples = batch.samples
        self._first, self._previous, self._current = self._encode(batch)

    def rounds(self, rng: np.random.Generator) -> Iterator[PropagationRound]:
        """Propagate near objects to the previous frame, and all objects to the current frame.

        Some objects are propagated from the mask that the network has drawn on the previous frame.
        """
        first_drawn, previous_drawn = self._masks("first_mask"), self._masks("previous_mask")
        first = self._memory(self._first, first_drawn, 0)
        near = np.flatnonzero([sample.is_near for sample in self._samples])
        if len(near):
            round_ = self._decode(0, near, first_drawn, (first, first))
            yield round_
            self._use_own_masks(previous_drawn, round_, rng)
        all_samples = np.arange(len(self._samples))
        previous = self._memory(self._previous, previous_drawn, 1)
        yield self._decode(1, all_samples, previous_drawn, (previous, first))

    @torch.no_grad()
    def _encode(self, batch: PropagationBatch) -> list[Features]:
        frames = self._tensor(batch.frames)
        with mixed_precision(self._device):
            features = self._network.encode(frames.flatten(0, 1))
        levels = [level.unflatten(0, frames.shape[:2]) for level in features]
        return [Features(*(level[index] for level in levels)) for index in range(len(frames))]

    def _decode(
        self,
        step: int,
        indices: npt.NDArray[np.intp],
        masks: Tensor,
        memories: tuple[Memory, Memory],
    ) -> PropagationRound:
        frame = (self._previous, self._current)[step]
        rows = torch.from_numpy(indices).to(self._device)
        fine, coarse = (
            self._cut(level, step, stride)[rows].contiguous(memory_format=torch.channels_last)
            for level, stride in ((frame.fine, FINE_STRIDE), (frame.coarse, COARSE_STRIDE))
        )
        planes = fine.new_zeros(len(indices), 7, CROP // 2, CROP // 2, dtype=torch.float32)
        planes[:, 6] = F.avg_pool2d(masks[rows], 2)[:, 0] * 2 - 1
        last, first = (Memory(*(part[rows] for part in memory)) for memory in memories)
        with mixed_precision(self._device):
            output = self._network.propagation_decoder(fine, coarse, planes, last, first)
        targets = self._targets(step)[rows]
        loss = prompt_loss(output, targets, planes[:, 4])
        return PropagationRound(step, indices, output, loss, targets)

    @torch.no_grad()
    def _use_own_masks(
        self, masks: Tensor, round_: PropagationRound, rng: np.random.Generator
    ) -> None:
        """Replace some masks on the previous frame by those of the network; changes `masks`."""
        is_predicted = round_.output.presence.float() > 0
        own_masks = first_masks(round_.output) * is_predicted[:, None, None, None]
        is_drawn = rng.random(len(round_.indices)) < OWN_MASK_SHARE
        for row in np.flatnonzero(is_drawn):
            index = int(round_.indices[row])
            origins = self._samples[index].origins
            own_mask = _on_crop(own_masks[row], np.subtract(origins[1], origins[0]))
            truth, predicted = masks[index] > 0.5, own_mask > 0.5
            if (truth & predicted).sum() > OWN_MASK_IOU * (truth | predicted).sum():
                masks[index] = own_mask

    def _memory(self, frame: Features, masks: Tensor, step: int) -> Memory:
        coarse = self._cut(frame.coarse, step, COARSE_STRIDE)
        return Memory(coarse, F.avg_pool2d(masks, COARSE_STRIDE).to(coarse.dtype))

    def _cut(self, level: Tensor, step: int, stride: int) -> Tensor:
        """Cut the crop of every sample, as it lies on the first or on the previous frame."""
        origins = [sample.origins[step] for sample in self._samples]
        return cut_crops(level, origins, len(origins) // len(level), stride)

    def _masks(self, name: str) -> Tensor:
        """Return masks (N, 1, 112, 112) of all samples."""
        masks = np.stack([getattr(sample, name) for sample in self._samples])
        return self._tensor(masks).float()[:, None]

    def _targets(self, step: int) -> Tensor:
        return self._tensor(np.stack([sample.targets[step] for sample in self._samples]))

    def _tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return as_tensor(array, self._device)


def _on_crop(mask: Tensor, offset: Sequence[int] | npt.NDArray[np.intp]) -> Tensor:
    """Cut a mask (1, 112, 112) by a crop that lies so many rows and columns further."""
    padded = F.pad(mask, (CROP,) * 4)
    row, col = (int(np.clip(CROP + shift, 0, 2 * CROP)) for shift in offset)
    return padded[:, row : row + CROP, col : col + CROP]

"""Rounds of prompting: the network predicts masks, and a simulated annotator corrects them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..engine.backends.embedded import prompt_encoder
from ..engine.backends.embedded.network import (
    COARSE_STRIDE,
    CROP,
    FINE_STRIDE,
    Features,
    Memory,
    MultimaskOutput,
    Network,
)
from ..engine.backends.embedded.prompt_encoder import PromptPlanes
from .annotator import correcting_click
from .losses import PromptLoss, dense_loss, prompt_loss
from .prompt_samples import PromptBatch, PromptSample


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """The decoder's input for a batch, apart from the prompts, and the true masks."""

    fine: Tensor
    """(N, 32, 56, 56)"""
    coarse: Tensor
    """(N, 64, 28, 28)"""
    memory: Memory
    targets: Tensor
    """(N, 112, 112) bool"""


@dataclass(frozen=True, slots=True, eq=False)
class PromptRound:
    """The predictions for all prompts of a batch."""

    number: int
    output: MultimaskOutput
    loss: PromptLoss


class PromptRounds:
    """Prompts the network about a batch, and corrects its masks."""

    def __init__(self, network: Network, batch: PromptBatch, device: torch.device) -> None:
        self._network = network
        self._samples = batch.samples
        self._per_view = len(batch.samples) // len(batch.current)
        self._device = device
        with mixed_precision(device):
            features = network.encode(self._tensor(batch.current))
            previous = self._encode_previous(batch)
        self.dense = dense_loss(
            features.dense, self._tensor(batch.labels), self._tensor(batch.depth)
        )
        self._crops = self._cut(features, previous)
        self._prompt_planes = np.stack([sample.prompt_planes for sample in self._samples])
        if previous is not None:
            self._use_own_masks(previous)

    def rounds(self, count: int, rng: np.random.Generator) -> Iterator[PromptRound]:
        """Predict, correct and predict again.

        The annotator corrects the first mask hypothesis, or the best one.
        """
        planes = self._prompt_planes
        for number in range(count):
            prompts = self._tensor(planes)
            crops = self._crops
            with mixed_precision(self._device):
                output = self._network.decode(
                    crops.fine, crops.coarse, _channels_last(prompts), crops.memory
                )
            loss = prompt_loss(output, crops.targets, prompts[:, 4])
            yield PromptRound(number, output, loss)
            if number < count - 1:
                logits = _logits_to_correct(rng, output, loss)
                planes = corrected_planes(rng, planes, self._samples, logits)

    def _encode_previous(self, batch: PromptBatch) -> Features | None:
        if not len(batch.previous):
            return None
        with torch.no_grad():
            return self._network.encode(self._tensor(batch.previous))

    @torch.no_grad()
    def _use_own_masks(self, previous: Features) -> None:
        """Let the network outline some objects on the previous frame, and propagate its masks.

        Objects that are propagated far have masks of the network and not of the annotator.
        """
        indices = [n for n, sample in enumerate(self._samples) if sample.is_own_mask]
        if not indices:
            return
        propagated = self._samples[: len(previous.fine) * self._per_view]
        memory = self._crops.memory
        known = Memory(memory.coarse[indices], memory.mask[indices])
        origins = [sample.origin for sample in propagated]
        fine = cut_crops(previous.fine, origins, self._per_view, FINE_STRIDE)[indices]
        with mixed_precision(self._device):
            output = self._network.decode(
                fine, known.coarse, self._tensor(self._prompt_planes[indices]), known
            )
        masks = F.avg_pool2d(first_masks(output), 2)
        is_there = masks.flatten(1).any(1)
        drawn = np.array(indices)[is_there.cpu().numpy()]
        for index, mask in zip(drawn, masks[is_there], strict=True):
            self._prompt_planes[index, 6] = mask[0].cpu().numpy() * 2 - 1
            memory.mask[index] = F.avg_pool2d(mask, 2)

    def _cut(self, features: Features, previous: Features | None) -> Crops:
        origins = [sample.origin for sample in self._samples]
        fine, coarse = (
            cut_crops(level, origins, self._per_view, stride)
            for level, stride in ((features.fine, FINE_STRIDE), (features.coarse, COARSE_STRIDE))
        )
        known = torch.zeros_like(coarse)
        if previous is not None:
            corners = origins[: len(previous.coarse) * self._per_view]
            crops = cut_crops(previous.coarse, corners, self._per_view, COARSE_STRIDE)
            known[: len(corners)] = crops
        masks = self._tensor(np.stack([sample.memory_mask for sample in self._samples]))[:, None]
        is_propagated = (masks.amax((2, 3), keepdim=True) > 0).to(known.dtype)
        targets = self._tensor(np.stack([sample.target for sample in self._samples]))
        memory = Memory(known * is_propagated, masks.to(known.dtype))
        return Crops(_channels_last(fine), _channels_last(coarse), memory, targets)

    def _tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return as_tensor(array, self._device)


def cut_crops(
    level: Tensor, origins: Sequence[tuple[int, int]], per_view: int, stride: int
) -> Tensor:
    """Cut crops out of a level of the feature pyramid; zeros beyond the image.

    Parameters
    ----------
    level : (B, C, H / stride, W / stride)
    origins : corners of crops in pixels of the views, `per_view` for each view in turn.
    """
    margin, side = CROP // 2 // stride, CROP // stride
    padded = F.pad(level, (margin,) * 4)
    crops = []
    for index, origin in enumerate(origins):
        row, col = (corner // stride + margin for corner in origin)
        crops.append(padded[index // per_view, :, row : row + side, col : col + side])
    return torch.stack(crops)


def first_masks(output: MultimaskOutput) -> Tensor:
    """Return the mask hypotheses with the highest scores, (N, 1, 112, 112), 0 or 1."""
    first = output.scores.argmax(1)
    logits = output.logits[torch.arange(len(first), device=first.device), first]
    large = F.interpolate(logits[:, None].float(), scale_factor=2, mode="bilinear")
    return (large > 0).float()


def as_tensor(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy an array to the device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Calculate in bfloat16 where that suffices."""
    return torch.autocast(device.type, torch.bfloat16)


def corrected_planes(
    rng: np.random.Generator,
    planes: npt.NDArray[np.float32],
    samples: Sequence[PromptSample],
    logits: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Add a click to the prompt planes of every sample, and the logits that it corrects."""
    corrected = planes.copy()
    for prompt, sample, predicted in zip(corrected, samples, logits, strict=True):
        _add_correction(rng, prompt, sample, predicted)
    return corrected


def _add_correction(
    rng: np.random.Generator,
    prompt: PromptPlanes,
    sample: PromptSample,
    logits: npt.NDArray[np.float32],
) -> None:
    truth = prompt_encoder.halved(sample.target) > 0.5
    click = correcting_click(rng, logits > 0, truth)
    if click is not None:
        (row, col), adds = click
        prompt_encoder.add_click(prompt, (row * 2 + 0.5, col * 2 + 0.5), adds)
    prompt[5] = np.tanh(logits / 4)


def _logits_to_correct(
    rng: np.random.Generator, output: MultimaskOutput, loss: PromptLoss
) -> npt.NDArray[np.float32]:
    """Return the logits of the mask hypothesis that the annotator corrects, (N, 56, 56)."""
    takes_first = torch.from_numpy(rng.random(len(loss.best)) < 0.6).to(loss.best.device)
    hypotheses = torch.where(takes_first, loss.first, loss.best)
    samples = torch.arange(len(hypotheses), device=hypotheses.device)
    logits: npt.NDArray[np.float32] = (
        output.logits[samples, hypotheses].detach().float().cpu().numpy()
    )
    return logits


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


class RunningMetrics:
    """Means of a training run, by kind of prompt and round; as text, a line for the log."""

    def __init__(self) -> None:
        self._values: defaultdict[str, list[float]] = defaultdict(list)

    def add_round(self, round_: PromptRound, samples: Sequence[PromptSample]) -> None:
        """Add the predictions for a batch: IoU of the first and of the best mask hypothesis."""
        ious = round_.loss.ious.detach().cpu().numpy()
        first = round_.loss.first.cpu().numpy()
        presence = round_.output.presence.detach().float().cpu().numpy()
        for index, sample in enumerate(samples):
            name = f"{sample.kind}{round_.number}"
            is_there = bool(sample.target.any())
            if is_there:
                self._values[name].append(ious[index, first[index]])
                self._values[f"{name} best"].append(ious[index].max())
            if sample.kind == "propagate" and round_.number == 0:
                is_right = (presence[index] > 0) == is_there
                self._values["present" if is_there else "absent"].append(is_right)

    def add(self, name: str, values: Iterable[float]) -> None:
        """Add values under a name."""
        self._values[name].extend(values)

    def means(self) -> dict[str, float]:
        """Return the mean of all values, by name."""
        items = sorted(self._values.items())
        return {name: float(np.mean(values)) for name, values in items if values}

    def __str__(self) -> str:
        """Name all means on a line."""
        return ", ".join(f"{name} {mean:.3f}" for name, mean in self.means().items())

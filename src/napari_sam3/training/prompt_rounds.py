"""Rounds of prompting: the network answers, a simulated user corrects it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..engine.backends.embedded import decoder_queries
from ..engine.backends.embedded.decoder_queries import Maps
from ..engine.backends.embedded.network import (
    COARSE_STRIDE,
    CROP,
    FINE_STRIDE,
    Decoded,
    Features,
    Memory,
    Network,
)
from .annotator import correcting_click
from .losses import Judged, dense_loss, prompt_loss
from .prompt_samples import Batch, Sample


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """What the decoder sees of a batch, apart from the prompts."""

    fine: Tensor
    """(N, 32, 56, 56)"""
    coarse: Tensor
    """(N, 64, 28, 28)"""
    memory: Memory
    targets: Tensor
    """(N, 112, 112) bool"""


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One answer to all prompts of a batch."""

    number: int
    decoded: Decoded
    judged: Judged


class Prompting:
    """Prompts the network about one batch, again and again."""

    def __init__(self, network: Network, batch: Batch, device: torch.device) -> None:
        self._network = network
        self._samples = batch.samples
        self._per_view = len(batch.samples) // len(batch.now)
        self._device = device
        with self._mixed_precision():
            features = network.encode(self._tensor(batch.now))
            past = self._past(batch)
        self.dense = dense_loss(
            features.dense, self._tensor(batch.labels), self._tensor(batch.depth)
        )
        self._crops = self._cut(features, past)
        self._maps = np.stack([sample.maps for sample in self._samples])
        if past is not None:
            self._redraw(past)

    def rounds(self, count: int, rng: np.random.Generator) -> Iterator[Round]:
        """Answer, be corrected, answer again; the user corrects the first or the best reading."""
        maps = self._maps
        for number in range(count):
            prompts = self._tensor(maps)
            crops = self._crops
            with self._mixed_precision():
                decoded = self._network.decode(
                    crops.fine, crops.coarse, _channels_last(prompts), crops.memory
                )
            judged = prompt_loss(decoded, crops.targets, prompts[:, 4])
            yield Round(number, decoded, judged)
            if number < count - 1:
                maps = corrected(rng, maps, self._samples, _chosen(rng, decoded, judged))

    def _past(self, batch: Batch) -> Features | None:
        if not len(batch.before):
            return None
        with torch.no_grad():
            return self._network.encode(self._tensor(batch.before))

    @torch.no_grad()
    def _redraw(self, past: Features) -> None:
        """Let the network outline some objects of the frame before, and go on from that.

        Those it follows far have outlines of its own making, not of the user's.
        """
        chosen = [n for n, sample in enumerate(self._samples) if sample.redrawn]
        if not chosen:
            return
        followed = self._samples[: len(past.fine) * self._per_view]
        memory = self._crops.memory
        known = Memory(memory.coarse[chosen], memory.mask[chosen])
        origins = [sample.origin for sample in followed]
        fine = cut(past.fine, origins, self._per_view, FINE_STRIDE)[chosen]
        with self._mixed_precision():
            decoded = self._network.decode(
                fine, known.coarse, self._tensor(self._maps[chosen]), known
            )
        cells = F.avg_pool2d(drawn(decoded), 2)
        seen = cells.flatten(1).any(1)
        for number, outline in zip(np.array(chosen)[seen.cpu().numpy()], cells[seen], strict=True):
            self._maps[number, 6] = outline[0].cpu().numpy() * 2 - 1
            memory.mask[number] = F.avg_pool2d(outline, 2)

    def _cut(self, features: Features, past: Features | None) -> Crops:
        origins = [sample.origin for sample in self._samples]
        fine, coarse = (
            cut(maps, origins, self._per_view, stride)
            for maps, stride in ((features.fine, FINE_STRIDE), (features.coarse, COARSE_STRIDE))
        )
        remembered = torch.zeros_like(coarse)
        if past is not None:
            known = origins[: len(past.coarse) * self._per_view]
            remembered[: len(known)] = cut(past.coarse, known, self._per_view, COARSE_STRIDE)
        masks = self._tensor(np.stack([sample.remembered for sample in self._samples]))[:, None]
        followed = (masks.amax((2, 3), keepdim=True) > 0).to(remembered.dtype)
        targets = self._tensor(np.stack([sample.target for sample in self._samples]))
        memory = Memory(remembered * followed, masks.to(remembered.dtype))
        return Crops(_channels_last(fine), _channels_last(coarse), memory, targets)

    def _tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _mixed_precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16)


def cut(maps: Tensor, origins: Sequence[tuple[int, int]], per_view: int, stride: int) -> Tensor:
    """Cut crops out of the features of their views; zeros beyond the picture.

    Parameters
    ----------
    origins : corners of crops in pixels of the views, so many for each view in turn.
    """
    margin, side = CROP // 2 // stride, CROP // stride
    padded = F.pad(maps, (margin,) * 4)
    crops = []
    for number, origin in enumerate(origins):
        row, col = (corner // stride + margin for corner in origin)
        crops.append(padded[number // per_view, :, row : row + side, col : col + side])
    return torch.stack(crops)


def drawn(decoded: Decoded) -> Tensor:
    """Masks (N, 1, 112, 112) of the readings ranked first, 0 or 1."""
    first = decoded.scores.argmax(1)
    logits = decoded.logits[torch.arange(len(first), device=first.device), first]
    large = F.interpolate(logits[:, None].float(), scale_factor=2, mode="bilinear")
    return (large > 0).float()


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def _chosen(rng: np.random.Generator, decoded: Decoded, judged: Judged) -> npt.NDArray[np.float32]:
    """Logits of the reading that the user goes on from, (N, 56, 56)."""
    trusting = torch.from_numpy(rng.random(len(judged.best)) < 0.6).to(judged.best.device)
    hypothesis = torch.where(trusting, judged.first, judged.best)
    everyone = torch.arange(len(hypothesis), device=hypothesis.device)
    logits: npt.NDArray[np.float32] = (
        decoded.logits[everyone, hypothesis].detach().float().cpu().numpy()
    )
    return logits


def corrected(
    rng: np.random.Generator,
    maps: npt.NDArray[np.float32],
    samples: Sequence[Sample],
    logits: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Draw one more click into the maps of every sample, beside the answer it corrects."""
    after = maps.copy()
    for prompt, sample, answer in zip(after, samples, logits, strict=True):
        _correct(rng, prompt, sample, answer)
    return after


def _correct(
    rng: np.random.Generator, prompt: Maps, sample: Sample, answer: npt.NDArray[np.float32]
) -> None:
    truth = decoder_queries.halved(sample.target) > 0.5
    click = correcting_click(rng, answer > 0, truth)
    if click is not None:
        (row, col), adds = click
        decoder_queries.add_click(prompt, (row * 2 + 0.5, col * 2 + 0.5), adds)
    prompt[5] = np.tanh(answer / 4)

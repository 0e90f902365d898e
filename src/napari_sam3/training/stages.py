"""What is learned, one lesson after the other: answering prompts, and following objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.backends.embedded.network import Network
from .config import Config
from .data_preparation import pairs_in, triplets_in
from .prompt_rounds import Prompting
from .prompt_samples import Batch, Batches, Mixture, validation_batches
from .propagation_rounds import PropagationRounds
from .propagation_samples import (
    PropagationBatch,
    PropagationBatches,
    validation_propagation_batches,
)
from .trainer import RunningMetrics, Stage, device_of, inherit

FURTHER = (0.75, 0.45, 0.25, 0.15)
"""How likely each further round of corrections is, after the first answers."""
CORRECTED = 0.6
"""Weight of a further round in the loss."""
SHORT_WAY = 0.7
"""Weight of what is found on the frame after the first, against what is found later."""


def stages(config: Config) -> Iterator[Stage]:
    """Return the lessons that a run has time for."""
    if config.minutes:
        yield PromptStage(config)
    if config.propagation_minutes:
        yield PropagationStage(config)


class PromptStage:
    """Teaches encoder and decoder to answer prompts, and to find objects on the next frame."""

    name = "prompts"

    def __init__(self, config: Config) -> None:
        self.minutes, self.steps = config.minutes, config.steps
        self._config = config
        self._device = device_of(config)

    def begin(self, network: Network) -> nn.Module:
        """All but the follower learns."""
        return nn.ModuleList([network.encoder, network.decoder])

    def batches(self, seed: int) -> Batches:
        """Endless random batches of views with prompts."""
        config = self._config
        mixture = Mixture(config.views, config.samples, config.real_share)
        return Batches(pairs_in(config), mixture, seed)

    def loss(
        self, network: Network, batch: Batch, rng: np.random.Generator, metrics: RunningMetrics
    ) -> Tensor:
        """Ask, correct and ask again."""
        rounds = 1 + int((rng.random(len(FURTHER)) < FURTHER).sum())
        prompting = Prompting(network, batch, self._device)
        loss = prompting.dense
        for answer in prompting.rounds(rounds, rng):
            loss = loss + answer.judged.loss * (1.0 if answer.number == 0 else CORRECTED)
            metrics.add(answer, batch.samples)
        metrics.count("dense", [prompting.dense.item()])
        return loss

    def validate(self, network: Network) -> RunningMetrics:
        """One prompt and two corrections."""
        metrics, rng = RunningMetrics(), np.random.default_rng(0)
        for batch in validation_batches(pairs_in(self._config), 8, self._config.samples):
            for answer in Prompting(network, batch, self._device).rounds(3, rng):
                metrics.add(answer, batch.samples)
        return metrics


class PropagationStage:
    """Teaches the follower, while encoder and decoder stay as they are."""

    name = "following"

    def __init__(self, config: Config) -> None:
        self.minutes, self.steps = config.propagation_minutes, config.propagation_steps
        self._config = config
        self._device = device_of(config)

    def begin(self, network: Network) -> nn.Module:
        """Begin as the decoder, if that has just learned; else go on."""
        if self._config.minutes:
            inherit(network)
        return network.propagation_decoder

    def batches(self, seed: int) -> PropagationBatches:
        """Endless random batches of three frames with objects to follow."""
        config = self._config
        mixture = Mixture(config.views, config.samples, config.real_share)
        return PropagationBatches(triplets_in(config), mixture, seed)

    def loss(
        self,
        network: Network,
        batch: PropagationBatch,
        rng: np.random.Generator,
        metrics: RunningMetrics,
    ) -> Tensor:
        """Follow to the frame before, and on from there."""
        loss = torch.zeros((), device=self._device)
        for found in PropagationRounds(network, batch, self._device).found(rng):
            loss = loss + found.judged.loss * (SHORT_WAY if found.step == 0 else 1.0)
            found.count(metrics)
        return loss

    def validate(self, network: Network) -> RunningMetrics:
        """Follow on the validation shards."""
        metrics, rng = RunningMetrics(), np.random.default_rng(0)
        for batch in validation_propagation_batches(
            triplets_in(self._config), 8, self._config.samples
        ):
            for found in PropagationRounds(network, batch, self._device).found(rng):
                found.count(metrics)
        return metrics

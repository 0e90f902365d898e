"""The training stages: first prompts, then propagation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.backends.embedded.network import Network
from .config import Config
from .data_preparation import pairs_folder, triplets_folder
from .prompt_rounds import PromptRounds, RunningMetrics
from .prompt_samples import Mixture, PromptBatch, PromptBatches, validation_batches
from .propagation_rounds import PropagationRounds
from .propagation_samples import (
    PropagationBatch,
    PropagationBatches,
    validation_propagation_batches,
)
from .trainer import Stage, device_of, init_propagation_decoder

CORRECTION_PROBABILITIES = (0.75, 0.45, 0.25, 0.15)
"""How likely each further round is, after the first predictions."""
CORRECTION_WEIGHT = 0.6
"""Weight of each further round in the loss."""
PREVIOUS_FRAME_WEIGHT = 0.7
"""Weight of the loss on the previous frame, relative to the current frame."""


def stages(config: Config) -> Iterator[Stage]:
    """Return the stages that a run has time for."""
    if config.prompt_minutes:
        yield PromptStage(config)
    if config.propagation_minutes:
        yield PropagationStage(config)


class PromptStage:
    """Trains encoder and decoder on prompts, and on masks of the previous frame."""

    name = "prompts"

    def __init__(self, config: Config) -> None:
        self.minutes, self.steps = config.prompt_minutes, config.prompt_steps
        self._config = config
        self._device = device_of(config)

    def begin(self, network: Network) -> nn.Module:
        """Train all but the propagation decoder."""
        return nn.ModuleList([network.encoder, network.decoder])

    def batches(self, seed: int) -> PromptBatches:
        """Return endless random batches of views with prompts."""
        config = self._config
        mixture = Mixture(config.views, config.samples, config.real_share)
        return PromptBatches(pairs_folder(config), mixture, seed)

    def loss(
        self,
        network: Network,
        batch: PromptBatch,
        rng: np.random.Generator,
        metrics: RunningMetrics,
    ) -> Tensor:
        """Predict masks, correct them and predict again."""
        count = 1 + int(
            (rng.random(len(CORRECTION_PROBABILITIES)) < CORRECTION_PROBABILITIES).sum()
        )
        prompt_rounds = PromptRounds(network, batch, self._device)
        loss = prompt_rounds.dense
        for round_ in prompt_rounds.rounds(count, rng):
            loss = loss + round_.loss.total * (1.0 if round_.number == 0 else CORRECTION_WEIGHT)
            metrics.add_round(round_, batch.samples)
        metrics.add("dense", [prompt_rounds.dense.item()])
        return loss

    def validate(self, network: Network) -> RunningMetrics:
        """Predict masks and correct them twice."""
        metrics, rng = RunningMetrics(), np.random.default_rng(0)
        for batch in validation_batches(pairs_folder(self._config), 8, self._config.samples):
            for round_ in PromptRounds(network, batch, self._device).rounds(3, rng):
                metrics.add_round(round_, batch.samples)
        return metrics


class PropagationStage:
    """Trains the propagation decoder, while encoder and decoder stay as they are."""

    name = "propagation"

    def __init__(self, config: Config) -> None:
        self.minutes, self.steps = config.propagation_minutes, config.propagation_steps
        self._config = config
        self._device = device_of(config)

    def begin(self, network: Network) -> nn.Module:
        """Start from the decoder if it has just been trained, else from the earlier weights."""
        if self._config.prompt_minutes:
            init_propagation_decoder(network)
        return network.propagation_decoder

    def batches(self, seed: int) -> PropagationBatches:
        """Return endless random batches of three frames with objects to propagate."""
        config = self._config
        mixture = Mixture(config.views, config.samples, config.real_share)
        return PropagationBatches(triplets_folder(config), mixture, seed)

    def loss(
        self,
        network: Network,
        batch: PropagationBatch,
        rng: np.random.Generator,
        metrics: RunningMetrics,
    ) -> Tensor:
        """Propagate to the previous frame, and on to the current frame."""
        loss = torch.zeros((), device=self._device)
        for round_ in PropagationRounds(network, batch, self._device).rounds(rng):
            loss = loss + round_.loss.total * (PREVIOUS_FRAME_WEIGHT if round_.step == 0 else 1.0)
            round_.add_to(metrics)
        return loss

    def validate(self, network: Network) -> RunningMetrics:
        """Propagate on the validation shards."""
        metrics, rng = RunningMetrics(), np.random.default_rng(0)
        folder = triplets_folder(self._config)
        for batch in validation_propagation_batches(folder, 8, self._config.samples):
            for round_ in PropagationRounds(network, batch, self._device).rounds(rng):
                round_.add_to(metrics)
        return metrics

"""The training loop: steps, schedule, averaged weights, checkpoints."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from napari_sam3.engine.embedded.network import Network
from napari_sam3.training.config import Config
from napari_sam3.training.dataset import Batch, Batches, Mixture, validation_batches
from napari_sam3.training.rounds import Prompting
from napari_sam3.training.tally import Tally
from napari_sam3.training.weights import blank_memory, load_weights, save_weights

LOG = logging.getLogger(__name__)
WARM_UP = 150
"""Steps until the full learning rate is reached."""
FURTHER = (0.75, 0.45, 0.25, 0.15)
"""How likely each further round of corrections is, after the first answers."""


class Trainer:
    """One run; a checkpoint in the output folder is taken up again."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._device = _device(config.device)
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.network = self._new_network()
        self._smooth = copy.deepcopy(self.network).eval()
        self._optimizer = torch.optim.AdamW(_groups(self.network), config.rate, betas=(0.9, 0.98))
        self._step = 0
        self._seconds = 0.0
        self._resume()

    def run(self) -> Path:
        """Train until the time or the steps are over; the path of the final weights."""
        last_snapshot, tally = self._seconds, Tally()
        began = time.monotonic() - self._seconds
        for batch in self._batches():
            self._advance(batch, tally)
            self._seconds = time.monotonic() - began
            if self._step % 50 == 0:
                LOG.info("step %d, %.0f s: %s", self._step, self._seconds, tally)
                tally = Tally()
            if self._progress() >= 1:
                break
            if self._seconds - last_snapshot > self._config.snapshot_minutes * 60:
                self._snapshot()
                last_snapshot = self._seconds
        return self._snapshot()

    def _new_network(self) -> Network:
        network = Network().to(self._device)
        blank_memory(network)
        if self._config.start is not None:
            load_weights(network, self._config.start)
        return network

    def _batches(self) -> Iterator[Batch]:
        config = self._config
        mixture = Mixture(config.views, config.samples, config.real_share)
        batches = Batches(config.data, mixture, config.seed + self._step)
        workers = max(1, config.processes // 2)
        return iter(DataLoader(batches, batch_size=None, num_workers=workers, collate_fn=_as_is))

    def _progress(self) -> float:
        by_time = self._seconds / (self._config.minutes * 60)
        by_steps = self._step / self._config.steps if self._config.steps else 0.0
        return max(by_time, by_steps)

    def _advance(self, batch: Batch, tally: Tally) -> None:
        rng = np.random.default_rng((self._config.seed, self._step))
        rounds = 1 + int((rng.random(len(FURTHER)) < FURTHER).sum())
        self._set_rate()
        self.network.train()
        prompting = Prompting(self.network, batch, self._device)
        loss = prompting.dense
        for answer in prompting.rounds(rounds, rng):
            loss = loss + answer.judged.loss * (1.0 if answer.number == 0 else 0.6)
            tally.add(answer, batch.samples)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self._optimizer.step()
        tally.add_losses(loss.item(), prompting.dense.item())
        self._step += 1
        self._follow()

    def _set_rate(self) -> None:
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, self._progress())))
        rate = self._config.rate * min(1.0, (self._step + 1) / WARM_UP) * (0.98 * falling + 0.02)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the smooth weights follow the trained ones."""
        kept = min(self._config.smoothing, (1 + self._step) / (12 + self._step))
        trained = self.network.state_dict()
        for name, smooth in self._smooth.state_dict().items():
            if smooth.is_floating_point():
                smooth.lerp_(trained[name], 1 - kept)
            else:
                smooth.copy_(trained[name])

    def _snapshot(self) -> Path:
        """Write weights and a checkpoint, and log the validation."""
        self._config.output.mkdir(parents=True, exist_ok=True)
        path = self._config.output / f"weights-{self._step:06d}.safetensors"
        save_weights(self._smooth, path, self._facts())
        checkpoint = self._checkpoint_path()
        unfinished = checkpoint.with_suffix(".unfinished")
        torch.save(self._state(), unfinished)
        unfinished.replace(checkpoint)
        LOG.info("validation at step %d: %s", self._step, self.validate())
        return path

    @torch.no_grad()
    def validate(self) -> Tally:
        """Ask the smooth weights about the validation shards: one prompt and two corrections."""
        tally, rng = Tally(), np.random.default_rng(0)
        for batch in validation_batches(self._config.data, 8, self._config.samples):
            for answer in Prompting(self._smooth, batch, self._device).rounds(3, rng):
                tally.add(answer, batch.samples)
        return tally

    def _facts(self) -> dict[str, str]:
        config = self._config
        real = f"; {config.real.name}, {config.real_share:.0%} of views" if config.real else ""
        return {
            "data": f"synthetic microscopy by napari_sam3.training{real}",
            "start": config.start.name if config.start else "random",
            "steps": str(self._step),
            "seed": str(config.seed),
            "hours": f"{self._seconds / 3600:.2f} on {self._device.type}",
        }

    def _checkpoint_path(self) -> Path:
        return self._config.output / "checkpoint.pt"

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "smooth": self._smooth.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
            "seconds": self._seconds,
        }

    def _resume(self) -> None:
        if not self._checkpoint_path().exists():
            return
        state = torch.load(self._checkpoint_path(), map_location=self._device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self._smooth.load_state_dict(state["smooth"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._seconds = state["step"], state["seconds"]
        LOG.info("resumed at step %d", self._step)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _groups(network: Network) -> list[dict[str, Any]]:
    """Decay the weights, but neither norms nor biases."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.02},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _as_is(batch: Any) -> Any:
    return batch

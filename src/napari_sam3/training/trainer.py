"""The training loop: steps, schedule, averaged weights, checkpoints."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ..engine.backends.embedded.network import Network
from .config import Config
from .prompt_rounds import RunningMetrics

LOG = logging.getLogger(__name__)
FORMAT = "napari-sam3 embedded 2"
LICENCE = "BSD-3-Clause"
WARM_UP = 150
"""Steps until the full learning rate is reached."""
FIRST_FRAME_REACH = 20.0
"""How far apart, in cells, objects on the first and the current frame may lie at first."""


class Stage(Protocol):
    """A training stage: its batches, its loss, and the part of the network that is trained."""

    name: str
    minutes: float
    steps: int  # 0 for no limit

    def begin(self, network: Network) -> nn.Module:
        """Prepare a network and return the part of it that is trained."""

    def batches(self, seed: int) -> IterableDataset[Any]:
        """Endless random batches."""

    def loss(
        self, network: Network, batch: Any, rng: np.random.Generator, metrics: RunningMetrics
    ) -> Tensor:
        """Return the loss of a batch, and add to the metrics."""

    def validate(self, network: Network) -> RunningMetrics:
        """Return the metrics on the validation shards."""


class Trainer:
    """A run of a stage; continues from a checkpoint in the output folder."""

    def __init__(self, config: Config, stage: Stage, start_weights: Path | None = None) -> None:
        self._config = config
        self._stage = stage
        self._device = device_of(config)
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.network = Network().to(self._device).requires_grad_(False).eval()
        zero_memory_weights(self.network)
        if start_weights is not None:
            load_weights(self.network, start_weights)
        self._start_weights = start_weights
        self._trained = stage.begin(self.network).requires_grad_(True)
        self._average = copy.deepcopy(self.network).eval()
        groups = _parameter_groups(self._trained)
        self._optimizer = torch.optim.AdamW(groups, config.learning_rate, betas=(0.9, 0.98))
        self._step = 0
        self._seconds = 0.0
        self._resume()

    def run(self) -> Path:
        """Train until the time or the steps are over, and return the path of the final weights."""
        last_snapshot, metrics = self._seconds, RunningMetrics()
        began = time.monotonic() - self._seconds
        for batch in self._batches():
            self._train_step(batch, metrics)
            self._seconds = time.monotonic() - began
            if self._step % 50 == 0:
                LOG.info("step %d, %.0f s: %s", self._step, self._seconds, metrics)
                metrics = RunningMetrics()
            if self._progress() >= 1:
                break
            if self._seconds - last_snapshot > self._config.snapshot_minutes * 60:
                self._snapshot()
                last_snapshot = self._seconds
        return self._snapshot()

    def _batches(self) -> Iterator[Any]:
        batches = self._stage.batches(self._config.seed + self._step)
        workers = max(1, self._config.processes // 2)
        loader = DataLoader(batches, batch_size=None, num_workers=workers, collate_fn=_unchanged)
        return iter(loader)

    def _progress(self) -> float:
        stage = self._stage
        by_time = self._seconds / (stage.minutes * 60)
        by_steps = self._step / stage.steps if stage.steps else 0.0
        return max(by_time, by_steps)

    def _train_step(self, batch: Any, metrics: RunningMetrics) -> None:
        rng = np.random.default_rng((self._config.seed, self._step))
        self._set_learning_rate()
        self._trained.train()
        loss = self._stage.loss(self.network, batch, rng, metrics)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained.parameters(), 2.0)
        self._optimizer.step()
        metrics.add("loss", [loss.item()])
        self._step += 1
        self._update_average()

    def _set_learning_rate(self) -> None:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self._progress())))
        warm_up = min(1.0, (self._step + 1) / WARM_UP)
        rate = self._config.learning_rate * warm_up * (0.98 * cosine + 0.02)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def _update_average(self) -> None:
        """Update the exponential moving average of the weights."""
        decay = min(self._config.ema_decay, (1 + self._step) / (12 + self._step))
        current = self.network.state_dict()
        for name, averaged in self._average.state_dict().items():
            if averaged.is_floating_point():
                averaged.lerp_(current[name], 1 - decay)
            else:
                averaged.copy_(current[name])

    def _snapshot(self) -> Path:
        """Write weights and a checkpoint, and log the metrics of the validation."""
        self._config.output.mkdir(parents=True, exist_ok=True)
        path = self._config.output / f"{self._stage.name}-{self._step:06d}.safetensors"
        save_weights(self._average, path, self._metadata())
        checkpoint = self._checkpoint_path()
        unfinished = checkpoint.with_suffix(".unfinished")
        torch.save(self._state(), unfinished)
        unfinished.replace(checkpoint)
        with torch.no_grad():
            metrics = self._stage.validate(self._average)
        LOG.info("validation at step %d: %s", self._step, metrics)
        return path

    def _metadata(self) -> dict[str, str]:
        config = self._config
        real = ""
        if config.real_images:
            real = f"; {config.real_images.name}, {config.real_share:.0%} of views"
        return {
            "data": f"synthetic microscopy by napari_sam3.training{real}",
            "stage": self._stage.name,
            "start": self._start_weights.name if self._start_weights else "random",
            "steps": str(self._step),
            "seed": str(config.seed),
            "hours": f"{self._seconds / 3600:.2f} on {self._device.type}",
        }

    def _checkpoint_path(self) -> Path:
        return self._config.output / f"{self._stage.name}.checkpoint.pt"

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
            "seconds": self._seconds,
        }

    def _resume(self) -> None:
        if not self._checkpoint_path().exists():
            return
        state = torch.load(self._checkpoint_path(), map_location=self._device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._seconds = state["step"], state["seconds"]
        LOG.info("resumed at step %d", self._step)


def save_weights(network: Network, path: Path, metadata: dict[str, str]) -> None:
    """Write the weights of a network in half precision; the file appears when it is complete."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    today = datetime.now(UTC).date().isoformat()
    unfinished = path.with_suffix(".unfinished")
    header = {"format": FORMAT, "licence": LICENCE, "date": today, **metadata}
    save_file(tensors, unfinished, header)
    unfinished.chmod(0o644)
    unfinished.replace(path)


def load_weights(network: Network, path: Path) -> None:
    """Read the weights at `path` into a network."""
    tensors = load_file(path)
    state = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    network.load_state_dict(state)


def zero_memory_weights(network: Network) -> None:
    """Let a new network ignore its memory, which it then learns to use."""
    torch.nn.init.zeros_(network.decoder.memory4.weight)
    init_propagation_decoder(network)


@torch.no_grad()
def init_propagation_decoder(network: Network) -> None:
    """Initialise the propagation decoder from the decoder, without weights for the first frame."""
    sources = network.decoder.state_dict()
    propagation_decoder = network.propagation_decoder.state_dict()
    for name, tensor in propagation_decoder.items():
        source = sources.get(name.replace("origin.", "recall."))
        if source is None or source.shape != tensor.shape:
            tensor.zero_()
        if source is not None:
            tensor[tuple(map(slice, source.shape))] = source
    propagation_decoder["origin.reach"].fill_(FIRST_FRAME_REACH)


def device_of(config: Config) -> torch.device:
    """Return the device of a run."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def _parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Apply weight decay to weights, but neither to norms nor to biases."""
    parameters = list(module.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.02},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _unchanged(batch: Any) -> Any:
    return batch

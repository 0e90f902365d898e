"""The training loop: steps, schedule, averaged weights, checkpoints."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
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
from .prompt_rounds import Round
from .prompt_samples import Sample

FORMAT = "napari-sam3 embedded 2"
LICENCE = "BSD-3-Clause"
ORIGIN_REACH = 20.0
"""How far apart, in cells, things on the first frame and now may lie to be compared at first."""


def save_weights(network: Network, path: Path, facts: dict[str, str]) -> None:
    """Write the weights of `network` in half precision, the file appearing when complete."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    today = datetime.now(UTC).date().isoformat()
    unfinished = path.with_suffix(".unfinished")
    save_file(tensors, unfinished, {"format": FORMAT, "licence": LICENCE, "date": today, **facts})
    unfinished.chmod(0o644)
    unfinished.replace(path)


def load_weights(network: Network, path: Path) -> None:
    """Fill `network` with the weights at `path`."""
    tensors = load_file(path)
    full = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    network.load_state_dict(full)


def blank_memory(network: Network) -> None:
    """Make a new network ignore its memories, which it then learns to use bit by bit."""
    torch.nn.init.zeros_(network.decoder.memory4.weight)
    inherit(network)


@torch.no_grad()
def inherit(network: Network) -> None:
    """Let the follower begin as the decoder, which knows no first frame yet."""
    known, propagation_decoder = (
        network.decoder.state_dict(),
        network.propagation_decoder.state_dict(),
    )
    for name, tensor in propagation_decoder.items():
        source = known.get(name.replace("origin.", "recall."))
        if source is None or source.shape != tensor.shape:
            tensor.zero_()
        if source is not None:
            tensor[tuple(map(slice, source.shape))] = source
    propagation_decoder["origin.reach"].fill_(ORIGIN_REACH)


class RunningMetrics:
    """Collects overlaps by kind of prompt and round; its text is a line for the log."""

    def __init__(self) -> None:
        self._values: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, answer: Round, samples: Sequence[Sample]) -> None:
        """Count the answers to a batch: overlap of the first reading, and of the best."""
        overlaps = answer.judged.overlaps.detach().cpu().numpy()
        first = answer.judged.first.cpu().numpy()
        presence = answer.decoded.presence.detach().float().cpu().numpy()
        for number, sample in enumerate(samples):
            name = f"{sample.asking}{answer.number}"
            seen = bool(sample.target.any())
            if seen:
                self._values[name].append(overlaps[number, first[number]])
                self._values[f"{name} best"].append(overlaps[number].max())
            if sample.asking == "follow" and answer.number == 0:
                self._values["seen" if seen else "gone"].append((presence[number] > 0) == seen)

    def count(self, name: str, values: Iterable[float]) -> None:
        """Count values under a name."""
        self._values[name].extend(values)

    def add_losses(self, total: float, dense: float) -> None:
        """Count the losses of a step."""
        self._values["loss"].append(total)
        self._values["dense"].append(dense)

    def means(self) -> dict[str, float]:
        """Mean of everything counted, by name."""
        counted = sorted(self._values.items())
        return {name: float(np.mean(values)) for name, values in counted if values}

    def __str__(self) -> str:
        """Name all means in one line."""
        return ", ".join(f"{name} {mean:.3f}" for name, mean in self.means().items())


LOG = logging.getLogger(__name__)
WARM_UP = 150
"""Steps until the full learning rate is reached."""


class Stage(Protocol):
    """What is learned in one run, and from what."""

    name: str
    minutes: float
    steps: int  # 0 for no limit

    def begin(self, network: Network) -> nn.Module:
        """Prepare a network and return the part of it that learns."""

    def batches(self, seed: int) -> IterableDataset[Any]:
        """Endless random batches."""

    def loss(
        self, network: Network, batch: Any, rng: np.random.Generator, metrics: RunningMetrics
    ) -> Tensor:
        """Ask the network about a batch, count its answers and judge them."""

    def validate(self, network: Network) -> RunningMetrics:
        """Count the answers about the validation shards."""


class Trainer:
    """One run; a checkpoint in the output folder is taken up again."""

    def __init__(self, config: Config, stage: Stage, start: Path | None = None) -> None:
        self._config = config
        self._stage = stage
        self._device = device_of(config)
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.network = Network().to(self._device).requires_grad_(False).eval()
        blank_memory(self.network)
        if start is not None:
            load_weights(self.network, start)
        self._start = start
        self._learner = stage.begin(self.network).requires_grad_(True)
        self._smooth = copy.deepcopy(self.network).eval()
        self._optimizer = torch.optim.AdamW(_groups(self._learner), config.rate, betas=(0.9, 0.98))
        self._step = 0
        self._seconds = 0.0
        self._resume()

    def run(self) -> Path:
        """Train until the time or the steps are over; the path of the final weights."""
        last_snapshot, metrics = self._seconds, RunningMetrics()
        began = time.monotonic() - self._seconds
        for batch in self._batches():
            self._advance(batch, metrics)
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
        return iter(DataLoader(batches, batch_size=None, num_workers=workers, collate_fn=_as_is))

    def _progress(self) -> float:
        stage = self._stage
        by_time = self._seconds / (stage.minutes * 60)
        by_steps = self._step / stage.steps if stage.steps else 0.0
        return max(by_time, by_steps)

    def _advance(self, batch: Any, metrics: RunningMetrics) -> None:
        rng = np.random.default_rng((self._config.seed, self._step))
        self._set_rate()
        self._learner.train()
        loss = self._stage.loss(self.network, batch, rng, metrics)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._learner.parameters(), 2.0)
        self._optimizer.step()
        metrics.count("loss", [loss.item()])
        self._step += 1
        self._propagate()

    def _set_rate(self) -> None:
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, self._progress())))
        rate = self._config.rate * min(1.0, (self._step + 1) / WARM_UP) * (0.98 * falling + 0.02)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def _propagate(self) -> None:
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
        path = self._config.output / f"{self._stage.name}-{self._step:06d}.safetensors"
        save_weights(self._smooth, path, self._facts())
        checkpoint = self._checkpoint_path()
        unfinished = checkpoint.with_suffix(".unfinished")
        torch.save(self._state(), unfinished)
        unfinished.replace(checkpoint)
        with torch.no_grad():
            metrics = self._stage.validate(self._smooth)
        LOG.info("validation at step %d: %s", self._step, metrics)
        return path

    def _facts(self) -> dict[str, str]:
        config = self._config
        real = f"; {config.real.name}, {config.real_share:.0%} of views" if config.real else ""
        return {
            "data": f"synthetic microscopy by napari_sam3.training{real}",
            "lesson": self._stage.name,
            "start": self._start.name if self._start else "random",
            "steps": str(self._step),
            "seed": str(config.seed),
            "hours": f"{self._seconds / 3600:.2f} on {self._device.type}",
        }

    def _checkpoint_path(self) -> Path:
        return self._config.output / f"{self._stage.name}.checkpoint.pt"

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


def device_of(config: Config) -> torch.device:
    """Return where a run calculates."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def _groups(learner: nn.Module) -> list[dict[str, Any]]:
    """Decay the weights, but neither norms nor biases."""
    parameters = list(learner.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.02},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _as_is(batch: Any) -> Any:
    return batch

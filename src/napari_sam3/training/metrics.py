"""Metrics of a training run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from .prompt_rounds import PromptRound
from .prompt_samples import PromptSample


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

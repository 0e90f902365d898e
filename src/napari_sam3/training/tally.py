"""Running means of what the training wants to see in its log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from napari_sam3.training.rounds import Round
from napari_sam3.training.samples import Sample


class Tally:
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

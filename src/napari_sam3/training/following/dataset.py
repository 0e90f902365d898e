"""Batches of objects to follow, drawn from the shards of a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_sam3.training.dataset import RandomBatches, draw_from
from napari_sam3.training.following.samples import (
    Followed,
    View,
    draw_followed,
    draw_view,
    fixed_view,
)


@dataclass(frozen=True, slots=True, eq=False)
class Chase:
    """Views and, for each, the same number of objects to follow."""

    frames: npt.NDArray[np.float32]
    """(3, B, 3, 192, 192) the first frames, those before, and the present ones."""
    samples: list[Followed]
    """B * K, view by view."""


class Chases(RandomBatches[Chase]):
    """Endless random batches; new shards are found as they appear."""

    def batch(self, rng: np.random.Generator, real: Sequence[Path], made: Sequence[Path]) -> Chase:
        """Draw one."""
        drawn: list[tuple[View, list[Followed]]] = []
        while len(drawn) < self.mixture.views:
            trio = draw_from(rng, self.wanted(rng, real, made))
            view = draw_view(rng, trio)
            samples = draw_followed(rng, view, self.mixture.samples)
            if samples:
                drawn.append((view, samples))
        return assembled(drawn)


def assembled(drawn: Sequence[tuple[View, list[Followed]]]) -> Chase:
    """Put views into one batch."""
    frames = np.stack([np.stack(view.pictures) for view, _ in drawn], axis=1)
    return Chase(frames, [sample for _, samples in drawn for sample in samples])


def validation_chases(folder: Path, views: int, samples: int) -> Iterator[Chase]:
    """Read fixed batches from the validation shards of a folder."""
    rng = np.random.default_rng(0)
    for path in sorted(folder.glob("validation-*.npy")):
        trios = np.load(path, mmap_mode="r")
        drawn = [(view, draw_followed(rng, view, samples)) for view in map(fixed_view, trios)]
        drawn = [(view, found) for view, found in drawn if found]
        for start in range(0, len(drawn), views):
            yield assembled(drawn[start : start + views])

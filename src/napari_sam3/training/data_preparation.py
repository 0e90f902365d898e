"""Filling folders with shards, by several processes at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .config import Config
from .real.real_images import RealPairs, images_in
from .shards import synthetic_pair, write_shard
from .triplets import RealTriplets, synthetic_triplet

HELD_BACK = 20
"""One real picture in so many is for validation alone; where there are fewer, all serve both."""

Maker = Callable[[np.random.Generator], npt.NDArray[Any]]


def pairs_in(config: Config) -> Path:
    """Return the folder of the pairs of frames."""
    return config.data / "pairs"


def triplets_in(config: Config) -> Path:
    """Return the folder of the trios of frames."""
    return config.data / "trios"


def fill(config: Config) -> None:
    """Make the shards that are still missing, validation first, then both kinds in turn."""
    folders = [pairs_in(config)] * bool(config.minutes)
    folders += [triplets_in(config)] * bool(config.propagation_minutes)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.npy" for folder in folders for name in _wanted(config)]
    missing = [path for path in paths if not path.exists()]
    with ProcessPoolExecutor(config.processes, get_context("spawn")) as pool:
        list(pool.map(_make, missing, [config] * len(missing)))


def _wanted(config: Config) -> list[str]:
    """Name the shards of a folder in the order in which they are made.

    Those who train meanwhile, or give up waiting, have both kinds in about the right shares.
    """
    validation = ["validation-synthetic-0000", "validation-synthetic-0001"]
    shards = [(n / config.shards, f"training-synthetic-{n:04d}") for n in range(config.shards)]
    if config.real is not None:
        validation.insert(0, "validation-real-0000")
        count = config.real_shards
        shards += [(n / count, f"training-real-{n:04d}") for n in range(count)]
    return validation + [name for _, name in sorted(shards)]


def _make(path: Path, config: Config) -> None:
    kind, _, number = path.stem.rpartition("-")
    rng = np.random.default_rng([config.seed, int(number), *kind.encode()])
    make = _maker(kind, config, path.parent == triplets_in(config))
    write_shard(path, [make(rng) for _ in range(config.pairs)])


def _maker(kind: str, config: Config, of_three: bool) -> Maker:
    if config.real is None or not kind.endswith("real"):
        return synthetic_triplet if of_three else synthetic_pair
    make = RealTriplets if of_three else RealPairs
    pictures = images_in(config.real)
    if len(pictures) < HELD_BACK:
        return make(pictures)
    held_back = pictures[::HELD_BACK]
    if kind.startswith("validation"):
        return make(held_back)
    return make([picture for picture in pictures if picture not in held_back])

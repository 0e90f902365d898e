"""Filling a folder with shards, by several processes at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from napari_sam3.training.config import Config
from napari_sam3.training.real import RealPairs, pictures_in
from napari_sam3.training.shards import Pair, synthetic_pair, write_shard

HELD_BACK = 20
"""One real picture in so many is for validation."""


def fill(config: Config) -> None:
    """Make the shards that are still missing, validation first."""
    config.data.mkdir(parents=True, exist_ok=True)
    wanted = [f"validation-synthetic-{number:04d}" for number in range(2)]
    wanted += [f"training-synthetic-{number:04d}" for number in range(config.shards)]
    if config.real is not None:
        wanted.insert(0, "validation-real-0000")
        wanted += [f"training-real-{number:04d}" for number in range(config.real_shards)]
    paths = [config.data / f"{name}.npy" for name in wanted]
    missing = [path for path in paths if not path.exists()]
    with ProcessPoolExecutor(config.processes, get_context("spawn")) as pool:
        list(pool.map(_make, missing, [config] * len(missing)))


def _make(path: Path, config: Config) -> None:
    kind, _, number = path.stem.rpartition("-")
    rng = np.random.default_rng([config.seed, int(number), *kind.encode()])
    make = _maker(kind, config)
    write_shard(path, [make(rng) for _ in range(config.pairs)])


def _maker(kind: str, config: Config) -> Callable[[np.random.Generator], Pair]:
    if config.real is None or not kind.endswith("real"):
        return synthetic_pair
    pictures = pictures_in(config.real)
    held_back = pictures[::HELD_BACK]
    if kind.startswith("validation"):
        return RealPairs(held_back)
    return RealPairs([picture for picture in pictures if picture not in held_back])

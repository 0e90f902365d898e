"""Making the shards of a training run, in several processes at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .config import Config
from .real.real_images import RealPairs, RealTriplets, image_paths
from .shards import synthetic_pair, synthetic_triplet, write_shard

HELD_OUT = 20
"""One real image in so many is for validation alone; if there are fewer, all serve both."""

Maker = Callable[[np.random.Generator], npt.NDArray[Any]]


def pairs_folder(config: Config) -> Path:
    """Return the folder of the pairs of frames."""
    return config.data / "pairs"


def triplets_folder(config: Config) -> Path:
    """Return the folder of the triplets of frames."""
    return config.data / "triplets"


def make_shards(config: Config) -> None:
    """Make the missing shards: validation first, then synthetic and real ones in turn."""
    folders = [pairs_folder(config)] * bool(config.prompt_minutes)
    folders += [triplets_folder(config)] * bool(config.propagation_minutes)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.npy" for folder in folders for name in shard_names(config)]
    missing = [path for path in paths if not path.exists()]
    with ProcessPoolExecutor(config.processes, get_context("spawn")) as pool:
        list(pool.map(_make_shard, missing, [config] * len(missing)))


def shard_names(config: Config) -> list[str]:
    """Name the shards of a folder in the order in which they are made.

    So whoever trains meanwhile has both kinds in about the right shares.
    """
    validation = ["validation-synthetic-0000", "validation-synthetic-0001"]
    shards = [(n / config.shards, f"training-synthetic-{n:04d}") for n in range(config.shards)]
    if config.real_images is not None:
        validation.insert(0, "validation-real-0000")
        count = config.real_shards
        shards += [(n / count, f"training-real-{n:04d}") for n in range(count)]
    return validation + [name for _, name in sorted(shards)]


def _make_shard(path: Path, config: Config) -> None:
    kind, _, number = path.stem.rpartition("-")
    rng = np.random.default_rng([config.seed, int(number), *kind.encode()])
    make = _entry_maker(kind, config, path.parent == triplets_folder(config))
    write_shard(path, [make(rng) for _ in range(config.shard_size)])


def _entry_maker(kind: str, config: Config, of_triplets: bool) -> Maker:
    if config.real_images is None or not kind.endswith("real"):
        return synthetic_triplet if of_triplets else synthetic_pair
    make = RealTriplets if of_triplets else RealPairs
    images = image_paths(config.real_images)
    if len(images) < HELD_OUT:
        return make(images)
    held_out = images[::HELD_OUT]
    if kind.startswith("validation"):
        return make(held_out)
    return make([image for image in images if image not in held_out])

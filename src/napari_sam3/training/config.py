"""The configuration of a training run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a training run; `default.toml` describes every field."""

    data: Path
    output: Path
    real_images: Path | None
    start_weights: Path | None
    shards: int
    real_shards: int
    shard_size: int
    processes: int
    prompt_minutes: float
    prompt_steps: int
    propagation_minutes: float
    propagation_steps: int
    views: int
    samples: int
    real_share: float
    learning_rate: float
    ema_decay: float
    snapshot_minutes: float
    threads: int
    device: str
    seed: int
    evaluation_images: Path | None

    @classmethod
    def read(cls, *files: Path) -> Self:
        """Read the defaults, then `files`; later ones override earlier ones."""
        values: dict[str, object] = {}
        for file in (Path(__file__).with_name("default.toml"), *files):
            values |= tomllib.loads(file.read_text())
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"Unknown in the config: {', '.join(sorted(unknown))}.")
        for name in ("data", "output", "real_images", "start_weights", "evaluation_images"):
            text = str(values[name])
            values[name] = Path(text).expanduser() if text else None
        return cls(**values)  # type: ignore[arg-type]

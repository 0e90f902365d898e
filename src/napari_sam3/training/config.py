"""What one run of the training is told."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Config:
    """A run of the training; `default.toml` comments on every field."""

    data: Path
    output: Path
    real: Path | None
    start: Path | None
    shards: int
    real_shards: int
    pairs: int
    processes: int
    minutes: float
    steps: int
    propagation_minutes: float
    propagation_steps: int
    views: int
    samples: int
    real_share: float
    rate: float
    smoothing: float
    snapshot_minutes: float
    threads: int
    device: str
    seed: int
    measure: Path | None

    @classmethod
    def read(cls, *files: Path) -> Self:
        """Read the defaults, then `files`; later ones override earlier ones."""
        values: dict[str, object] = {}
        for file in (Path(__file__).with_name("default.toml"), *files):
            values |= tomllib.loads(file.read_text())
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"Unknown in the config: {', '.join(sorted(unknown))}.")
        for name in ("data", "output", "real", "start", "measure"):
            text = str(values[name])
            values[name] = Path(text).expanduser() if text else None
        return cls(**values)  # type: ignore[arg-type]

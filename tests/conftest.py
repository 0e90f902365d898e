from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep tests out of the caches of whoever runs them."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAPARI_SAM3_CACHE", str(folder))
    return folder

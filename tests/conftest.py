from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep tests out of the caches of whoever runs them; the folder is not made yet."""
    folder = tmp_path_factory.mktemp("user") / "cache"
    monkeypatch.setenv("NAPARI_SAM3_CACHE", str(folder))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go; those of the documentation are taken into docs/images."""
    folder = Path(os.environ.get("NAPARI_SAM3_SCREENSHOTS", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder

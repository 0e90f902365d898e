"""What crashes and other processes do to a folder that is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zarr
from zarr.errors import ContainsGroupError

CUT_OFF = (b"", b'{"attributes": ', bytes(99))
"""What a crash or a full disk leaves of a description."""


def made_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another process make the next group while this one does."""
    open_group = zarr.open_group

    def overtaken(folder: Path, **settings: Any) -> zarr.Group:
        monkeypatch.setattr(zarr, "open_group", open_group)
        open_group(folder, **settings)
        raise ContainsGroupError(f"A group exists in {folder}.")

    monkeypatch.setattr(zarr, "open_group", overtaken)

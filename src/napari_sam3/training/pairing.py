"""The files of two folders that belong together by their names."""

from __future__ import annotations

from glob import escape
from pathlib import Path


def partner(path: Path, folder: Path) -> Path | None:
    """Return the file in a folder that has the name of another, best with the same suffix."""
    same = folder / path.name
    if same.is_file():
        return same
    candidates = sorted(folder.glob(f"{escape(path.stem)}.*"))  # "cell.ome.tif" is one of "cell"
    return next((one for one in candidates if one.stem == path.stem and one.is_file()), None)

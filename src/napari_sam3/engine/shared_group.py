"""A group of zarr in a folder that several processes share."""

from __future__ import annotations

from json import JSONDecodeError
from pathlib import Path

import zarr
from zarr.errors import ContainsGroupError

DESCRIPTION = "zarr.json"


def shared_group(folder: Path) -> zarr.Group:
    """Open a group, and make it if there is none.

    A description that a crash or a full disk has cut off is written anew: what lies in the group
    is found without it.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError, TypeError
        If something else lies there.
    """
    try:
        return zarr.open_group(folder, mode="a")
    except ContainsGroupError:  # another process has made it meanwhile
        return zarr.open_group(folder, mode="a")
    except (JSONDecodeError, UnicodeDecodeError):
        (folder / DESCRIPTION).unlink(missing_ok=True)
        return zarr.open_group(folder, mode="a")

"""Layers that napari duplicates from others, and that would go on sharing their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr
from napari.layers import Labels
from zarr.storage import LocalStore

from .label_store import LabelStore
from .lazy_stack import LazyStack


def give_own_files(layer: Labels, store: LabelStore) -> None:
    """Let a layer that shows labels of a store show a copy of them; others are left alone.

    napari copies a layer, but not what lies on disk: what is painted on one of the two, or asked
    for by a prompt, would be seen on both.

    Raises
    ------
    StorageError
        If they cannot be copied; the layer shows what it showed then.
    """
    sizes = list(layer.data) if layer.multiscale else [layer.data]
    arrays = [one.source if isinstance(one, LazyStack) else one for one in sizes]
    names = {_name(one, store.path) for one in arrays}
    if len(names) > 1 or None in names:
        return
    name = store.copy(str(names.pop()))
    copied: Any = zarr.open_group(store.path, mode="r+")[name]
    copies = [copied[Path(one.path).name] for one in arrays]
    layer.data = [LazyStack(one) for one in copies] if layer.multiscale else copies[0]


def _name(array: Any, folder: Path) -> str | None:
    """Return what labels in a folder are called that an array belongs to, if it does."""
    if not isinstance(array, zarr.Array) or not isinstance(array.store, LocalStore):
        return None
    name = Path(array.path).parent.name
    return name if Path(array.store.root) == folder and name else None

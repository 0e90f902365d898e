"""Session folders of earlier layouts, which are brought over to that of today.

Version 1 was written by the engine: ``labels.zarr`` had an array (F, H, W) of 0 and 1 for each
object, named by its id. Version 0 was written by the dock: the groups of today without metadata of
OME-Zarr, and no ``session.json``. A folder may hold both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..values import Box, Geometry, default_axes, is_large
from .disk import shared_group
from .hand_edits import LabelPlane
from .label_pyramid import (
    PART,
    LabelPyramid,
    boxes_of_parts,
    chunks_on_disk,
    describe,
    type_of_labels,
)
from .label_store import HIGHEST_ID, SHOWN, LabelStore, StoredLabels, name_of_object

EARLIER_LABELS = "labels-before.zarr"
"""Where arrays of version 1 are kept when they were copied."""
SOURCE = "brought_over_from"
"""Attribute of a group that was made from an array of version 1: the name of that array."""


def earlier_shape(folder: Path) -> tuple[int, ...] | None:
    """Return the shape of the labels in a folder without ``session.json``; None without labels."""
    store = LabelStore(folder)
    arrays = [store.path / name / SHOWN for name in store.names()]
    arrays += [store.path / str(object_id) for object_id in _object_arrays(store.path)]
    if not arrays:
        return None
    return tuple(int(length) for length in zarr.open_array(arrays[0], mode="r").shape)


def image_of_version_1(session: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
    """Return the shape of the labels and the digest of the first frame in a ``session.json``.

    The first folders of version 1 had no digest, which is empty then.
    """
    return (session["frames"], *session["shape"]), str(session.get("first", ""))


def bring_over(folder: Path, shape: tuple[int, ...], geometry: Geometry) -> None:
    """Give the labels of a folder the layout of today; what was interrupted is continued.

    Arrays of version 1 are copied into groups of their own, beside those that the dock made, and
    then kept in ``labels-before.zarr``. Several processes may do this at once.
    """
    store = LabelStore(folder, lambda: geometry)
    for name in store.names():
        _describe_group(store.path / name, geometry)
    for object_id in _object_arrays(store.path):
        _copy_object(store, object_id, shape)
        _keep_array(folder, store.path / str(object_id))
    store.list_names()


def _object_arrays(labels: Path) -> list[int]:
    """Return the ids of the objects that have an array of version 1."""
    if not labels.is_dir():
        return []
    names = [path.name for path in labels.iterdir() if (path / "zarr.json").exists()]
    ids = sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))
    return [object_id for object_id in ids if 0 < object_id <= HIGHEST_ID]


def _describe_group(path: Path, geometry: Geometry) -> None:
    group = zarr.open_group(path, mode="r+")
    if "ome" in group.attrs:
        return
    pyramid = LabelPyramid.of(group)
    axes = len(pyramid.shape)
    is_same = axes == len(geometry.axes)
    own = geometry if is_same else Geometry.of_pixels(default_axes(axes))
    describe(group, len(pyramid.levels), own)


def _copy_object(store: LabelStore, object_id: int, shape: tuple[int, ...]) -> None:
    """Copy the array of an object into a group, under the first name that is free."""
    source = store.path / str(object_id)
    array = zarr.open_array(source, mode="r")

    def fill(labels: StoredLabels) -> None:
        zarr.open_group(labels.folder, mode="r+").attrs[SOURCE] = source.name
        for frame, box in _parts(source, array):
            is_object = np.asarray(array[(frame, *box.slices)]) != 0
            values = np.where(is_object, object_id, 0).astype(labels.finest.dtype)
            index = tuple(int(axis) for axis in np.unravel_index(frame, shape[:-2] or (1,)))
            labels.write(index[: len(shape) - 2], LabelPlane(values, values), box)

    name = name_of_object(object_id)
    for target in chain([name], (f"{name}-{number}" for number in count(2))):
        if target not in store:
            store.require(target, shape, type_of_labels(object_id), fill)
        if zarr.open_group(store.path / target, mode="r").attrs.get(SOURCE) == source.name:
            return


def _parts(folder: Path, array: zarr.Array[Any]) -> Iterator[tuple[int, Box]]:
    """Yield the frames of an array that have chunks, each cut where it is large."""
    sides = (PART, PART) if is_large(array.shape) else array.shape[-2:]
    for frame in sorted({chunk[0] for chunk in chunks_on_disk(folder, array)}):
        for box in boxes_of_parts(array.shape, (sides[0], sides[1])):
            yield frame, box


def _keep_array(folder: Path, array: Path) -> None:
    shared_group(folder / EARLIER_LABELS)
    with suppress(FileNotFoundError):  # another process has moved it meanwhile
        array.rename(folder / EARLIER_LABELS / array.name)

"""Labels layers as OME-Zarr, part by part; napari calls it for *File > Save*."""

from __future__ import annotations

import shutil
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..storage import TILE, LabelPyramid, describe
from ..values import NO_UNIT, WITHOUT_UNIT, Box, Geometry, StorageError
from .label_file import check_free, put_in_place, writing

PART = 4 * TILE
"""Side of what is read at once, in pixels."""

TURNED = (
    "{} was saved without the rotation, shear or affine transform of its layer, which OME-Zarr "
    "does not keep: set it again on whatever is opened from it."
)

HIGHEST = np.iinfo(np.uint16).max


def write_labels_zarr(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the data of a Labels layer, with the sizes to look at it from far away.

    Parameters
    ----------
    path : str
        Where the folder goes; its name ends in .zarr.
    data : array or sequence of arrays, (..., H, W)
        The labels, or their sizes, of which the first is written.
    meta : dict
        What napari says of the layer.

    Returns
    -------
    list of str
        The folder.

    Warns
    -----
    UserWarning
        If the layer is turned or sheared, which is lost.
    """
    target = Path(path)
    finest = data[0] if meta.get("multiscale") else data
    draft = target.with_name(f".{target.name}.partial")
    check_free(target)
    try:
        with writing(target):
            group = zarr.open_group(draft, mode="w")
            geometry = _geometry(meta, finest.ndim)
            pyramid = LabelPyramid.create(group, finest.shape, axes=geometry.axes)
            _copy(finest, pyramid)
            describe(group, len(pyramid.levels), geometry)
            put_in_place(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    if _is_turned(meta):
        warnings.warn(TURNED.format(target.name), stacklevel=2)  # which napari shows
    return [path]


def _copy(labels: Any, pyramid: LabelPyramid) -> None:
    """Copy what is not empty."""
    height, width = labels.shape[-2:]
    places = product(*map(range, labels.shape[:-2]))
    for place, top, left in product(places, range(0, height, PART), range(0, width, PART)):
        box = Box(top, left, min(top + PART, height), min(left + PART, width))
        part = np.asarray(labels[(*place, *box.slices)])
        if part.max() > HIGHEST or part.min() < 0:
            raise StorageError(
                f"Only labels from 0 to {HIGHEST} can be written: relabel the layer first."
            )
        if part.any():
            pyramid.write(place, box, part.astype(np.uint16))


def _geometry(meta: dict[str, Any], count: int) -> Geometry:
    """Return where the pixels of a layer lie, as far as OME-Zarr can tell."""
    units = tuple(str(unit) for unit in meta.get("units") or (NO_UNIT,) * count)
    return Geometry(
        _axes(meta, units),
        tuple(float(factor) for factor in meta.get("scale", (1.0,) * count)),
        tuple(float(way) for way in meta.get("translate", (0.0,) * count)),
        units,
    )


def _is_turned(meta: dict[str, Any]) -> bool:
    """Whether pixels lie otherwise than scale and translation tell."""
    turns = [np.asarray(meta[name]) for name in ("rotate", "affine") if meta.get(name) is not None]
    is_sheared = bool(np.any(meta.get("shear", 0)))
    return is_sheared or any(not np.allclose(turn, np.eye(len(turn))) for turn in turns)


def _axes(meta: dict[str, Any], units: tuple[str, ...]) -> str:
    """Return a letter for every axis: as the layer is labelled where that is clear."""
    count = len(units)
    told = "".join(str(label).lower()[:1] for label in meta.get("axis_labels", ()))
    if len(told) == len(set(told)) == count and set(told) <= set("tczyx"):
        return told
    is_volume = units[0] == units[-1] not in WITHOUT_UNIT  # frames as far apart as rows are long
    guesses = {3: "zyx" if is_volume else "tyx", 4: "tzyx"}
    return guesses.get(count, "tczyx"[-count:])

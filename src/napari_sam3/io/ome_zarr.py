"""Images as OME-Zarr: folders of arrays that say what their axes and sizes are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_sam3.engine import FramesError

from .opened_image import OpenedImage
from .units import NO_UNIT

Factors = NDArray[np.float64]
"""A number for every axis."""

_ANCIENT = "tczyx"
"""Axes of all images before version 0.3."""


def is_zarr(path: Path) -> bool:
    """Tell whether a path is a zarr array or group."""
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))


def read_ome_zarr(path: Path) -> OpenedImage:
    """Open the image in a folder, with all its sizes; no pixel is read.

    Versions 0.1 to 0.5 are read, and plain arrays, whose last axes are rows and columns.

    Raises
    ------
    FramesError
        If it holds no image, or many.
    """
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return _plain(path, node)
    told = _told(node)
    if "plate" in told:
        raise FramesError(
            f"{path} is a plate with many images: choose one of its fields, such as {path}/A/1/0."
        )
    if "multiscales" in told:
        return _image(path, node, told["multiscales"][0])
    if "0" in node and isinstance(node["0"], zarr.Group):  # written by bioformats2raw
        return read_ome_zarr(path / "0")
    raise FramesError(f"{path} holds no OME-Zarr image: choose the folder of an image.")


def _told(group: zarr.Group) -> Mapping[str, Any]:
    """Return what OME-Zarr says about a group, in this version or an earlier one."""
    attributes = dict(group.attrs)
    newer = attributes.get("ome")
    return newer if isinstance(newer, Mapping) else attributes


def _image(path: Path, group: zarr.Group, multiscale: Mapping[str, Any]) -> OpenedImage:
    datasets = multiscale["datasets"]
    levels = tuple(group[dataset["path"]] for dataset in datasets)
    axes = [_named(axis) for axis in multiscale.get("axes", _ANCIENT)]
    own, common = (_placed(thing, len(axes)) for thing in (datasets[0], multiscale))
    return OpenedImage(
        str(multiscale.get("name") or path.name.removesuffix(".zarr").removesuffix(".ome")),
        levels,
        "".join(axis["name"].lower()[:1] for axis in axes),
        tuple(float(factor) for factor in common[0] * own[0]),
        tuple(str(axis.get("unit") or NO_UNIT) for axis in axes),
        tuple(float(way) for way in common[0] * own[1] + common[1]),
    )


def _named(axis: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an axis with its name; before version 0.4 it was a name alone."""
    return {"name": axis} if isinstance(axis, str) else axis


def _placed(thing: Mapping[str, Any], count: int) -> tuple[Factors, Factors]:
    """Return by how much the axes are scaled, and then moved; 1 and 0 where nothing is said."""
    scale, translation = np.ones(count), np.zeros(count)
    for step in thing.get("coordinateTransformations", ()):
        if step.get("type") == "scale" and "scale" in step:
            scale = np.array(step["scale"], float)
        if step.get("type") == "translation" and "translation" in step:
            translation = np.array(step["translation"], float)
    return scale, translation


def _plain(path: Path, array: zarr.Array[Any]) -> OpenedImage:
    if array.ndim < 2:
        raise FramesError(f"{path} is an array of {array.ndim} axes and no image: choose another.")
    axes = "ijklmnopqr"[: array.ndim - 2] + "yx"
    ones, units = (1.0,) * array.ndim, (NO_UNIT,) * array.ndim
    return OpenedImage(path.stem, (array,), axes, ones, units)

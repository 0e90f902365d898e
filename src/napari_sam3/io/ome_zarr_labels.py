"""Labels as OME-Zarr, written part by part; napari calls it for *File > Save*."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..storage import UNWRITABLE, LabelPyramid, describe, storing_in, written_whole
from ..values import NO_UNIT, Geometry, StorageError

TRANSFORM_LOST = (
    "{} was saved without the rotation, shear or affine transform of its layer, which OME-Zarr "
    "does not keep: set it again on whatever is opened from it."
)


def write_labels_zarr(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the data of a Labels layer, in several sizes where it is large.

    Parameters
    ----------
    path : str
        Where the folder is written; its name ends in .zarr.
    data : array or sequence of arrays, (..., H, W)
        The labels, or their sizes, of which the first is written.
    meta : dict
        The attributes of the layer, from napari.

    Returns
    -------
    list of str
        The folder.

    Warns
    -----
    UserWarning
        If the layer is rotated or sheared, which is lost.
    """
    target = Path(path)
    finest = data[0] if meta.get("multiscale") else data
    check_replaceable(target)
    with storing_in(target, errors=UNWRITABLE), written_whole(target) as draft:
        group = zarr.open_group(draft, mode="w")
        geometry = _geometry(meta, finest.ndim)
        pyramid = LabelPyramid.create(group, finest.shape, axes=geometry.axes)
        pyramid.write_all(finest)
        describe(group, len(pyramid.levels), geometry)
    if _is_rotated(meta):
        warnings.warn(TRANSFORM_LOST.format(target.name), stacklevel=2)  # which napari shows
    return [path]


def check_replaceable(path: Path) -> None:
    """Refuse a name under which there is a folder that is no labels."""
    if path.is_dir() and not _is_labels(path):
        raise StorageError(f"{path} is no file of labels: choose another name for them.")


def _is_labels(folder: Path) -> bool:
    """Tell whether a folder is OME-Zarr labels, which may be replaced by others."""
    if not (folder / "zarr.json").exists():
        return False
    metadata = zarr.open(folder, mode="r").attrs.get("ome")
    return isinstance(metadata, Mapping) and "image-label" in metadata


def _geometry(meta: dict[str, Any], count: int) -> Geometry:
    """Return where the pixels of a layer lie, as far as OME-Zarr can tell."""
    return Geometry.of_layer(
        meta.get("axis_labels", ()),
        [str(unit) for unit in meta.get("units") or (NO_UNIT,) * count],
        meta.get("scale", (1.0,) * count),
        meta.get("translate", (0.0,) * count),
    )


def _is_rotated(meta: dict[str, Any]) -> bool:
    """Whether pixels lie otherwise than scale and translation tell."""
    matrices = [
        np.asarray(meta[name]) for name in ("rotate", "affine") if meta.get(name) is not None
    ]
    is_sheared = bool(np.any(meta.get("shear", 0)))
    return is_sheared or any(not np.allclose(matrix, np.eye(len(matrix))) for matrix in matrices)

"""Session folders as versions before this layout wrote them, file by file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from napari_sam3.engine import Frames, first_frame_digest
from napari_sam3.storage import LabelPyramid
from napari_sam3.values import Box, is_large


def write_engine_folder(
    path: Path, movie: Any, masks: Mapping[int, NDArray[np.bool_]], tile: int = 1024
) -> None:
    """Write version 1: an array (F, H, W) of 0 and 1 for each object, named by its id."""
    frames = Frames.from_array(movie)
    side = tile if frames.is_large else max(frames.shape)
    path.mkdir(parents=True, exist_ok=True)
    session = {
        "version": 1,
        "frames": frames.count,
        "shape": frames.shape,
        "first": first_frame_digest(frames),
        "model": {"name": "disks", "revision": "1"},
        "contrast": [],
    }
    (path / "session.json").write_text(json.dumps(session, indent=1))
    group = zarr.open_group(path / "labels.zarr", mode="a")
    for object_id, mask in masks.items():
        array = group.require_array(
            str(object_id),
            shape=(frames.count, *frames.shape),
            chunks=(1, *(min(side, length) for length in frames.shape)),
            dtype=np.uint8,
            fill_value=0,
        )
        for frame in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
            array[frame] = mask[frame].view(np.uint8)


def write_dock_folder(path: Path, name: str, shown: NDArray[Any], model: NDArray[Any]) -> None:
    """Write what the dock wrote: a group of labels without metadata, and no ``session.json``."""
    group = zarr.open_group(path / "labels.zarr", mode="a").create_group(name, overwrite=True)
    if is_large(shown.shape):
        pyramid = LabelPyramid.create(group, shown.shape)
        for frame_index in np.ndindex(shown.shape[:-2]):
            pyramid.write(frame_index, Box.whole(shown.shape), shown[frame_index])
        return
    for part, labels in (("0", shown), ("model", model)):
        array = group.create_array(
            part,
            shape=labels.shape,
            chunks=(*(1 for _ in labels.shape[:-2]), *labels.shape[-2:]),
            dtype=np.uint16,
            fill_value=0,
            compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
        )
        for frame_index in np.ndindex(labels.shape[:-2]):
            array[frame_index] = labels[frame_index]

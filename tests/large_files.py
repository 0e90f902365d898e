"""Real files of large images, written chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from tifffile import TiffWriter
from zarr.codecs import BloscCodec

from napari_sam3.samples import dividing_cells

CHUNK = 1024
SAMPLE = dividing_cells()
PIXELS, TRUTH = (array[0][:256, :256] for array in (SAMPLE.image, SAMPLE.labels))
"""What such an image repeats every 256 pixels, and the cells on it."""


def chunk_at(step: int) -> NDArray[np.uint16]:
    """Return the chunk that a level is made of, (1024, 1024): cells again and again."""
    small = PIXELS[::step, ::step]
    return np.tile(small, [CHUNK // side for side in small.shape]).astype(np.uint16)


def write_ome_zarr(path: Path, side: int) -> Path:
    """Write a pyramid as OME-Zarr 0.5, chunk by chunk."""
    group = zarr.open_group(path, mode="w")
    datasets = []
    for step in (1, 2, 4, 8):
        length = -(-side // step)
        array = group.create_array(
            str(step),
            shape=(length, length),
            chunks=(CHUNK, CHUNK),
            dtype=np.uint16,
            compressors=BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"),
        )
        row = np.tile(chunk_at(step), (1, -(-length // CHUNK)))[:, :length]
        for top in range(0, length, CHUNK):
            array[top : top + CHUNK] = row[: min(CHUNK, length - top)]
        scale = {"type": "scale", "scale": [0.5 * step, 0.5 * step]}
        datasets.append({"path": str(step), "coordinateTransformations": [scale]})
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return path


def write_tiff(path: Path, side: int) -> Path:
    """Write a pyramid as OME-TIFF, tile by tile."""
    with TiffWriter(path, bigtiff=True) as tiff:
        for step in (1, 2, 4, 8):
            length = -(-side // step)
            tiff.write(
                tiles(chunk_at(step), length),
                shape=(length, length),
                dtype=np.uint16,
                tile=(CHUNK, CHUNK),
                photometric="minisblack",
                metadata={"axes": "YX", "PhysicalSizeX": 0.5} if step == 1 else None,
                **({"subifds": 3} if step == 1 else {"subfiletype": 1}),
            )
    return path


def tiles(chunk: NDArray[np.uint16], length: int) -> Iterator[NDArray[np.uint16]]:
    count = -(-length // CHUNK)
    yield from (chunk for _ in range(count * count))


WRITERS = {"slide.ome.zarr": write_ome_zarr, "slide.ome.tif": write_tiff}

"""Opening image files: TIFF and OME-Zarr without reading them, pictures whole."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import zarr
from numpy.typing import NDArray
from skimage.io import imread
from tifffile import TiffFile, TiffFileError, TiffPageSeries

from napari_sam3.engine import FramesError

from .ome_zarr import is_zarr, read_ome_zarr
from .opened_image import OpenedImage
from .pixel_sizes import pixel_sizes
from .units import NO_UNIT

TIFF = (".tif", ".tiff")
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, SyntaxError, TiffFileError)


def open_image(path: Path) -> OpenedImage:
    """Open an image file; of a TIFF or an OME-Zarr no pixel is read before it is needed.

    Raises
    ------
    FramesError
        If it is no image, or of a kind that is not read.
    """
    try:
        return _opened(path)
    except _UNREADABLE as error:
        raise FramesError(
            f"{path} cannot be read as an image ({error}). Choose a tif, png, jpg or OME-Zarr."
        ) from error


def _opened(path: Path) -> OpenedImage:
    if is_zarr(path):
        return read_ome_zarr(path)
    if path.suffix.lower() in TIFF:
        return _tiff(path)
    return _picture(path.stem, np.asarray(imread(path)))


def _tiff(path: Path) -> OpenedImage:
    """Open the first image of a TIFF with all its sizes; the file is closed with the first."""
    with ExitStack() as on_failure:
        file = on_failure.enter_context(TiffFile(path))
        series = file.series[0]
        axes = series.axes.lower()
        levels = tuple(_lazy(series, level) for level in range(len(series.levels)))
        sizes = pixel_sizes(file)
        finalize(levels[0], file.close)
        on_failure.pop_all()
    told = [sizes.get(axis, (1.0, NO_UNIT)) for axis in axes]
    scale, units = tuple(size for size, _ in told), tuple(unit for _, unit in told)
    name = path.stem.removesuffix(".ome")
    return OpenedImage(name, levels, axes, scale, units, close=file.close)


def _lazy(series: TiffPageSeries, level: int) -> zarr.Array[Any]:
    array = zarr.open(series.aszarr(level=level), mode="r")
    if not isinstance(array, zarr.Array):
        raise ValueError("its sizes do not belong together")
    return array


def _picture(name: str, pixels: NDArray[Any]) -> OpenedImage:
    axes = {2: "yx", 3: "yxs", 4: "qyxs"}.get(pixels.ndim)
    if axes is None:
        raise ValueError(f"its shape is {pixels.shape}")
    return OpenedImage(name, (pixels,), axes, (1.0,) * pixels.ndim, (NO_UNIT,) * pixels.ndim)

"""Image files: TIFF and OME-Zarr are read lazily, png and jpg as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any
from weakref import finalize
from xml.etree import ElementTree

import numpy as np
import zarr
from numpy.typing import NDArray
from skimage.io import imread
from tifffile import TiffFile, TiffFileError, TiffPageSeries
from tifffile import imread as read_tiff

from ..engine import FrameLevel, Frames
from ..values import NO_UNIT, FramesError, Geometry, named_unit

_PIXELS = "yx"
_CHANNELS = "cs"  # channels; samples of a colour image

TIFF = (".tif", ".tiff")
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, SyntaxError, TiffFileError)

Factors = NDArray[np.float64]
"""A number for every axis."""

_ANCIENT = "tczyx"
"""Axes of all images before version 0.3."""

Size = tuple[float, str]
"""Of a pixel along an axis, with its unit."""

_TAGGED = {2: "inch", 3: "centimeter", 4: "millimeter", 5: "micrometer"}
"""Values of the tag ResolutionUnit; the last two are not in the standard but in use."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedImage:
    """An image in all the sizes that its file holds, with its axes and its geometry."""

    name: str
    levels: tuple[Any, ...]  # arrays with a shape, a dtype and slices, the finest first
    axes: str  # a small letter for each: y and x, c or s for channels, z, t, or any other
    scale: tuple[float, ...]  # size of a pixel of the finest level along each axis
    units: tuple[str, ...]  # of each axis; "pixel" where there is none
    translation: tuple[float, ...] = ()  # centre of its first pixel along each axis; none is 0
    close: Callable[[], None] = lambda: None  # closes the file

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(int(length) for length in self.levels[0].shape)

    @property
    def is_rgb(self) -> bool:
        """Whether its last axis is red, green and blue."""
        return self.axes.endswith("s") and self.shape[-1] in (3, 4)

    @property
    def frame_axis(self) -> int | None:
        """The axis that a stack of it runs along; None for a single image.

        Raises
        ------
        FramesError
            If there are several.
        """
        long = [axis for axis in self._stack_axes if self.shape[axis] > 1]
        if len(long) > 1:
            axes = ", ".join(f"{self.axes[axis]} ({self.shape[axis]})" for axis in long)
            raise FramesError(
                f"{self.name} is a stack along several axes: {axes}. Save one of its stacks as a "
                "file of its own, or open it in napari."
            )
        return long[0] if long else next(iter(self._stack_axes), None)

    @property
    def geometry(self) -> Geometry:
        """Where the frames lie: rows and columns, and before them the frames of a stack."""
        kept = [self.axes.index(name) for name in _PIXELS]
        axis, letters = self.frame_axis, _PIXELS
        if axis is not None and self.shape[axis] > 1:
            kept, letters = [axis, *kept], ("z" if self.axes[axis] == "z" else "t") + _PIXELS
        translation = self.translation or (0.0,) * len(self.axes)
        return Geometry(
            letters,
            tuple(self.scale[at] for at in kept),
            tuple(translation[at] for at in kept),
            tuple(self.units[at] for at in kept),
        )

    def frames(self) -> Frames:
        """Return the image as a stack, (F, H, W, C), read frame by frame or in parts."""
        sizes = [self._level(array) for array in self.levels]
        axis, first = self.frame_axis, sizes[0]
        rows, cols = (slice(0, side) for side in first.shape)
        return Frames(
            1 if axis is None else self.shape[axis],
            first.shape,
            self._channels,
            lambda frame: first.read(frame, rows, cols),
            self.is_rgb,
            sizes,
        )

    @property
    def _stack_axes(self) -> list[int]:
        return [axis for axis, name in enumerate(self.axes) if name not in _PIXELS + _CHANNELS]

    @property
    def _channels(self) -> int:
        if self.is_rgb:
            return 3
        counts = [self.shape[axis] for axis, name in enumerate(self.axes) if name in _CHANNELS]
        return int(np.prod(counts))

    def _level(self, array: Any) -> FrameLevel:
        frame_axis, channels = self.frame_axis, self._channels
        order = [name for name in self.axes if name in _PIXELS + _CHANNELS]
        target = [order.index("y"), order.index("x")]
        target += [at for at, name in enumerate(order) if name in _CHANNELS]

        def read(frame: int, rows: slice, cols: slice) -> NDArray[Any]:
            parts = {"y": rows, "x": cols, "c": slice(None), "s": slice(None)}
            index = [parts.get(name, 0) for name in self.axes]
            if frame_axis is not None:
                index[frame_axis] = frame
            pixels = np.asarray(array[tuple(index)]).transpose(target)
            return pixels.reshape(*pixels.shape[:2], -1)[..., :channels]

        rows, cols = (int(array.shape[self.axes.index(name)]) for name in _PIXELS)
        return FrameLevel((rows, cols), read)


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


def read_image(path: Path) -> NDArray[Any]:
    """Read all pixels of an image file as they are.

    Raises
    ------
    FramesError
        If it is no image.
    """
    # scikit-image would take the frames of a TIFF for colours when there are 3 or 4 of them.
    read = read_tiff if path.suffix.lower() in TIFF else imread
    try:
        return np.asarray(read(path))
    except (OSError, ValueError, SyntaxError, TiffFileError) as error:
        raise FramesError(
            f"{path} cannot be read as an image ({error}). Choose a tif, png or jpg."
        ) from error


def _opened(path: Path) -> OpenedImage:
    if is_zarr(path):
        return read_ome_zarr(path)
    if path.suffix.lower() in TIFF:
        return _tiff(path)
    return _whole_image(path.stem, np.asarray(imread(path)))


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
    metadata = _metadata(node)
    if "plate" in metadata:
        raise FramesError(
            f"{path} is a plate with many images: choose one of its fields, such as {path}/A/1/0."
        )
    if "multiscales" in metadata:
        return _image(path, node, metadata["multiscales"][0])
    if "0" in node and isinstance(node["0"], zarr.Group):  # written by bioformats2raw
        return read_ome_zarr(path / "0")
    raise FramesError(f"{path} holds no OME-Zarr image: choose the folder of an image.")


def _metadata(group: zarr.Group) -> Mapping[str, Any]:
    """Return the OME-Zarr metadata of a group, of this version or an earlier one."""
    attributes = dict(group.attrs)
    newer = attributes.get("ome")
    return newer if isinstance(newer, Mapping) else attributes


def _image(path: Path, group: zarr.Group, multiscale: Mapping[str, Any]) -> OpenedImage:
    datasets = multiscale["datasets"]
    levels = tuple(group[dataset["path"]] for dataset in datasets)
    axes = [_named(axis) for axis in multiscale.get("axes", _ANCIENT)]
    own, common = (_transform(part, len(axes)) for part in (datasets[0], multiscale))
    return OpenedImage(
        str(multiscale.get("name") or path.name.removesuffix(".zarr").removesuffix(".ome")),
        levels,
        "".join(axis["name"].lower()[:1] for axis in axes),
        tuple(float(factor) for factor in common[0] * own[0]),
        tuple(str(axis.get("unit") or NO_UNIT) for axis in axes),
        tuple(float(distance) for distance in common[0] * own[1] + common[1]),
    )


def _named(axis: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an axis with its name; before version 0.4 it was a name alone."""
    return {"name": axis} if isinstance(axis, str) else axis


def _transform(part: Mapping[str, Any], count: int) -> tuple[Factors, Factors]:
    """Return scale and translation of so many axes; 1 and 0 where the metadata has none."""
    scale, translation = np.ones(count), np.zeros(count)
    for step in part.get("coordinateTransformations", ()):
        if step.get("type") == "scale" and "scale" in step:
            scale = np.array(step["scale"], float)
        if step.get("type") == "translation" and "translation" in step:
            translation = np.array(step["translation"], float)
    return scale, translation


def _plain(path: Path, array: zarr.Array[Any]) -> OpenedImage:
    if array.ndim < 2:
        raise FramesError(
            f"{path} is an array of {array.ndim} axes and no image: choose another folder."
        )
    axes = "ijklmnopqr"[: array.ndim - 2] + "yx"
    ones, units = (1.0,) * array.ndim, (NO_UNIT,) * array.ndim
    return OpenedImage(path.stem, (array,), axes, ones, units)


def pixel_sizes(file: TiffFile) -> dict[str, Size]:
    """Read the size of a pixel along each axis from the metadata of OME-TIFF or ImageJ."""
    if file.is_ome:
        return _sizes_in_xml(file.ome_metadata)
    return dict(_sizes_by_imagej(file)) if file.is_imagej else {}


def _sizes_in_xml(metadata: str | None) -> dict[str, Size]:
    """Read the sizes from the XML of the first image of an OME-TIFF."""
    pixels = ElementTree.fromstring(metadata or "<OME/>").find(".//{*}Pixels")
    attributes = {} if pixels is None else pixels.attrib
    return {
        axis.lower(): (
            float(attributes[f"PhysicalSize{axis}"]),
            named_unit(attributes.get(f"PhysicalSize{axis}Unit", "µm")) or NO_UNIT,
        )
        for axis in "XYZ"
        if f"PhysicalSize{axis}" in attributes
    }


def _sizes_by_imagej(file: TiffFile) -> Iterator[tuple[str, Size]]:
    """Read the sizes that ImageJ wrote: pixels per unit in tags, units and spacing in text."""
    metadata, page = file.imagej_metadata or {}, file.pages.first
    tagged = _TAGGED.get(page.tags.valueof("ResolutionUnit", default=1), NO_UNIT)
    units = _units(metadata, tagged)
    yield "z", (_size(metadata.get("spacing")), units["z"])
    for axis, pixels in zip("xy", page.resolution, strict=True):
        size = _size(1 / pixels if pixels else None)
        # ImageJ counts per unit of the text whatever the tag says, save in this case.
        in_centimeters = (tagged, units[axis]) == ("centimeter", "micrometer")
        yield axis, (size * 10_000 if in_centimeters else size, units[axis])


def _units(metadata: Mapping[str, Any], tagged: str) -> dict[str, str]:
    """Return the unit of each axis: that of the columns where it has none of its own."""
    common = str(metadata.get("unit", tagged))
    texts = {"x": common, **{axis: str(metadata.get(f"{axis}unit", common)) for axis in "yz"}}
    return {axis: named_unit(text) or NO_UNIT for axis, text in texts.items()}


def _size(value: Any) -> float:
    """Return a size of the metadata; 1 where there is no sensible number."""
    is_size = isinstance(value, int | float) and isfinite(value) and value != 0
    return abs(float(value)) if is_size else 1.0


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
    known = [sizes.get(axis, (1.0, NO_UNIT)) for axis in axes]
    scale, units = tuple(size for size, _ in known), tuple(unit for _, unit in known)
    name = path.stem.removesuffix(".ome")
    return OpenedImage(name, levels, axes, scale, units, close=file.close)


def _lazy(series: TiffPageSeries, level: int) -> zarr.Array[Any]:
    array = zarr.open(series.aszarr(level=level), mode="r")
    if not isinstance(array, zarr.Array):
        raise ValueError("its sizes do not belong together")
    return array


def _whole_image(name: str, pixels: NDArray[Any]) -> OpenedImage:
    axes = {2: "yx", 3: "yxs", 4: "qyxs"}.get(pixels.ndim)
    if axes is None:
        raise ValueError(f"its shape is {pixels.shape}")
    return OpenedImage(name, (pixels,), axes, (1.0,) * pixels.ndim, (NO_UNIT,) * pixels.ndim)

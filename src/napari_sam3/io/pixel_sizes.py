"""What a TIFF says of the size of its pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any
from xml.etree import ElementTree

from tifffile import TiffFile

from .units import NO_UNIT, named_unit

Size = tuple[float, str]
"""Of a pixel along an axis, with its unit."""

_TAGGED = {2: "inch", 3: "centimeter", 4: "millimeter", 5: "micrometer"}
"""Values of the tag ResolutionUnit; the last two are no part of TIFF but in use."""


def pixel_sizes(file: TiffFile) -> dict[str, Size]:
    """Read the size of a pixel along each axis that an OME-TIFF or a TIFF of ImageJ tells of."""
    if file.is_ome:
        return _told_in_xml(file.ome_metadata)
    return dict(_told_by_imagej(file)) if file.is_imagej else {}


def _told_in_xml(metadata: str | None) -> dict[str, Size]:
    """Read what an OME-TIFF says of its first image."""
    pixels = ElementTree.fromstring(metadata or "<OME/>").find(".//{*}Pixels")
    told = {} if pixels is None else pixels.attrib
    return {
        axis.lower(): (
            float(told[f"PhysicalSize{axis}"]),
            named_unit(told.get(f"PhysicalSize{axis}Unit", "µm")) or NO_UNIT,
        )
        for axis in "XYZ"
        if f"PhysicalSize{axis}" in told
    }


def _told_by_imagej(file: TiffFile) -> Iterator[tuple[str, Size]]:
    """Read what ImageJ says: pixels per unit in tags, unit and distance of frames in words."""
    told, page = file.imagej_metadata or {}, file.pages.first
    tagged = _TAGGED.get(page.tags.valueof("ResolutionUnit", default=1), NO_UNIT)
    units = _units(told, tagged)
    yield "z", (_size(told.get("spacing")), units["z"])
    for axis, pixels in zip("xy", page.resolution, strict=True):
        size = _size(1 / pixels if pixels else None)
        # ImageJ counts per unit of the words whatever the tag says, save in this one case.
        in_centimeters = (tagged, units[axis]) == ("centimeter", "micrometer")
        yield axis, (size * 10_000 if in_centimeters else size, units[axis])


def _units(told: Mapping[str, Any], tagged: str) -> dict[str, str]:
    """Return the unit of each axis: that of the columns where it has none of its own."""
    common = str(told.get("unit", tagged))
    words = {"x": common, **{axis: str(told.get(f"{axis}unit", common)) for axis in "yz"}}
    return {axis: named_unit(word) or NO_UNIT for axis, word in words.items()}


def _size(value: Any) -> float:
    """Return a size as it is told; 1 where nothing sensible is."""
    is_told = isinstance(value, int | float) and isfinite(value) and value != 0
    return abs(float(value)) if is_told else 1.0

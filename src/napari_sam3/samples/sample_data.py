"""The samples of File > Open Sample, as image layers with their geometry."""

from __future__ import annotations

from typing import Any

from .mitosis import dividing_cells
from .organoid import organoid

LayerData = tuple[Any, dict[str, Any], str]


def zstack() -> list[LayerData]:
    """Return nuclei of an organoid, (24, 256, 256), as an image layer in micrometers."""
    settings = {
        "name": "organoid",
        "scale": (2.0, 0.5, 0.5),
        "axis_labels": ("z", "y", "x"),
        "units": ("micrometer", "micrometer", "micrometer"),
        "contrast_limits": (100, 380),
    }
    return [(organoid().image, settings, "image")]


def timelapse() -> list[LayerData]:
    """Return dividing cells, (30, 256, 256), as an image layer in minutes and micrometers."""
    settings = {
        "name": "mitosis",
        "scale": (5.0, 0.4, 0.4),
        "axis_labels": ("t", "y", "x"),
        "units": ("minute", "micrometer", "micrometer"),
        "contrast_limits": (100, 420),
    }
    return [(dividing_cells().image, settings, "image")]

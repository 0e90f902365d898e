"""Synthetic samples that resemble microscopy, with their ground truth."""

from .microscope import Sample
from .mitosis import dividing_cells, timelapse
from .organoid import organoid, zstack

__all__ = [
    "Sample",
    "dividing_cells",
    "organoid",
    "timelapse",
    "zstack",
]

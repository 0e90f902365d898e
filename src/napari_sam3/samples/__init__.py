"""Samples that look like microscopy, made on the spot with their ground truth."""

from .mitosis import Sample, dividing_cells
from .organoid import organoid
from .sample_data import timelapse

__all__ = [
    "Sample",
    "dividing_cells",
    "organoid",
    "timelapse",
]

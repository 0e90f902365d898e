"""Samples that look like microscopy, made on the spot with their ground truth."""

from .mitosis import dividing_cells
from .organoid import organoid
from .sample import Sample

__all__ = ["Sample", "dividing_cells", "organoid"]

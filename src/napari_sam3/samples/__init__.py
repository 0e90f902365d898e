"""Synthetic samples that resemble microscopy, with their ground truth."""

from .microscope import Sample
from .mitosis import dividing_cells
from .organoid import organoid
from .sample_data import timelapse

__all__ = ["Sample", "dividing_cells", "organoid", "timelapse"]

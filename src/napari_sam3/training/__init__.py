"""Synthetic microscopy, and training and evaluation of the embedded network."""

from .baselines import classical_backends
from .evaluation import Result, measure
from .real.labelled_images import Item, read_items
from .report import (
    as_json,
    calibration_text,
    draw_range,
    draw_worst,
    image_table,
    model_table,
)

__all__ = [
    "Item",
    "Result",
    "as_json",
    "calibration_text",
    "classical_backends",
    "draw_range",
    "draw_worst",
    "image_table",
    "measure",
    "model_table",
    "read_items",
]

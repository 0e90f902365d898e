"""Images from files, and results as files, one format a module."""

from ..values import Geometry
from .label_file import LabelFile, paint
from .measurements import Measurements
from .overview import write_overview
from .readers import OpenedImage, open_image, read_image
from .tiff_labels import write_labels

__all__ = [
    "Geometry",
    "LabelFile",
    "Measurements",
    "OpenedImage",
    "open_image",
    "paint",
    "read_image",
    "write_labels",
    "write_overview",
]

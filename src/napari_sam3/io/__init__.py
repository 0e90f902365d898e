"""Images from files, and results as files: labels, tables, pictures."""

from ..values import Geometry
from .exports import Measurements, paint, read_image, write_labels, write_overview
from .label_file import LabelFile
from .readers import OpenedImage, open_image

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

"""Images from files, and results as files: labels, tables, pictures."""

from .exports import Measurements, paint, read_image, write_labels, write_overview
from .geometry import Geometry
from .label_file import LabelFile
from .opened_image import OpenedImage
from .reading import open_image

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

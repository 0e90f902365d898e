"""Results as files: labels, tables, pictures."""

from .exports import Measurements, paint, read_image, write_labels, write_overview

__all__ = ["Measurements", "paint", "read_image", "write_labels", "write_overview"]

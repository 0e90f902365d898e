"""What is kept on disk: the session folder, labels in it, and files written whole."""

from .disk import SPARE_BYTES, check_free_space, free_bytes
from .hand_edits import LabelPlane, filled
from .label_pyramid import NARROW, TILE, LabelPyramid, Labels, describe, level_sides, type_of_labels
from .label_store import LabelArray, LabelStore, StoredLabels
from .lazy_stack import LazyStack

__all__ = [
    "NARROW",
    "SPARE_BYTES",
    "TILE",
    "LabelArray",
    "LabelPlane",
    "LabelPyramid",
    "LabelStore",
    "Labels",
    "LazyStack",
    "StoredLabels",
    "check_free_space",
    "describe",
    "filled",
    "free_bytes",
    "level_sides",
    "type_of_labels",
]

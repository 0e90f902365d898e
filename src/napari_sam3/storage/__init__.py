"""What is kept on disk: the session folder, labels in it, and files written whole."""

from .disk import (
    CHOOSE_CACHE,
    CHOOSE_FOLDER,
    DISK_FULL,
    DRAFT,
    SPARE_BYTES,
    UNREADABLE,
    UNWRITABLE,
    check_free_space,
    free_bytes,
    new_folder,
    shared_group,
    storing_in,
    write_whole,
    written_whole,
)
from .hand_edits import LabelPlane, filled
from .label_pyramid import (
    NARROW,
    TILE,
    LabelPyramid,
    Labels,
    boxes_of_parts,
    describe,
    level_sides,
    type_of_labels,
)
from .label_store import SHARED_LABELS, LabelArray, LabelStore, StoredLabels, name_of_object
from .lazy_stack import LazyStack
from .session_folder import EMBEDDINGS, SessionDescription, SessionFolder

__all__ = [
    "CHOOSE_CACHE",
    "CHOOSE_FOLDER",
    "DISK_FULL",
    "DRAFT",
    "EMBEDDINGS",
    "NARROW",
    "SHARED_LABELS",
    "SPARE_BYTES",
    "TILE",
    "UNREADABLE",
    "UNWRITABLE",
    "LabelArray",
    "LabelPlane",
    "LabelPyramid",
    "LabelStore",
    "Labels",
    "LazyStack",
    "SessionDescription",
    "SessionFolder",
    "StoredLabels",
    "boxes_of_parts",
    "check_free_space",
    "describe",
    "filled",
    "free_bytes",
    "level_sides",
    "name_of_object",
    "new_folder",
    "shared_group",
    "storing_in",
    "type_of_labels",
    "write_whole",
    "written_whole",
]

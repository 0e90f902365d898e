"""What crosses borders: frozen values without napari, torch or files."""

from .boxes import LARGE_FRAME, Box, Corners, Frame, FrameIndex, Key, is_large
from .candidates import (
    Appearance,
    Candidates,
    Concept,
    Exemplar,
    boxes_of,
    cut_thumbnail,
    exemplars_of,
)
from .errors import (
    DAMAGED,
    CancelledError,
    DeviceMemoryError,
    FramesError,
    ModelError,
    PromptError,
    Sam3Error,
    StorageError,
    WeightsError,
)
from .geometry import NO_UNIT, WITHOUT_UNIT, Geometry, default_axes, named_unit
from .masks import HYPOTHESIS_NAMES, HypothesisName, Mask, named_hypotheses
from .objects import ObjectList, SegmentedObject, Track
from .prompts import NOTHING_MARKED, Prompts

__all__ = [
    "DAMAGED",
    "HYPOTHESIS_NAMES",
    "LARGE_FRAME",
    "NOTHING_MARKED",
    "NO_UNIT",
    "WITHOUT_UNIT",
    "Appearance",
    "Box",
    "CancelledError",
    "Candidates",
    "Concept",
    "Corners",
    "DeviceMemoryError",
    "Exemplar",
    "Frame",
    "FrameIndex",
    "FramesError",
    "Geometry",
    "HypothesisName",
    "Key",
    "Mask",
    "ModelError",
    "ObjectList",
    "PromptError",
    "Prompts",
    "Sam3Error",
    "SegmentedObject",
    "StorageError",
    "Track",
    "WeightsError",
    "boxes_of",
    "cut_thumbnail",
    "default_axes",
    "exemplars_of",
    "is_large",
    "named_hypotheses",
    "named_unit",
]

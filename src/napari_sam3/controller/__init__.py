"""What happens when a prompt, a frame or an object changes; no Qt."""

from .annotations import Annotations, Tool
from .candidates import EXTENTS
from .concept import CandidateCount, ConceptState
from .controller import Controller
from .jobs import Jobs, Stream
from .models import DEFAULT_MODEL, Models, Transfer, size_text
from .prefetch import EncodingForecast, State
from .propagation import Direction, Progress, Reach
from .segmentation import ShownHypothesis
from .why_disabled import (
    NO_IMAGE,
    FindAction,
    hint,
    is_busy,
    why_disabled,
    why_find_disabled,
    why_model_disabled,
)

__all__ = [
    "DEFAULT_MODEL",
    "EXTENTS",
    "NO_IMAGE",
    "Annotations",
    "CandidateCount",
    "ConceptState",
    "Controller",
    "Direction",
    "EncodingForecast",
    "FindAction",
    "Jobs",
    "Models",
    "Progress",
    "Reach",
    "ShownHypothesis",
    "State",
    "Stream",
    "Tool",
    "Transfer",
    "hint",
    "is_busy",
    "size_text",
    "why_disabled",
    "why_find_disabled",
    "why_model_disabled",
]

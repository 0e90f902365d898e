"""What happens when a prompt, a frame or an object changes; no Qt."""

from .annotations import Tool, Works
from .candidates import EXTENTS
from .concept import CandidateCount, ConceptState
from .controller import Controller
from .jobs import Jobs, Stream
from .prefetch import Outlook, State
from .propagation import Direction, Progress, Reach
from .segmentation import ShownHypothesis
from .why_disabled import NO_IMAGE, FindAction, hint, is_busy, why_disabled, why_find_disabled

__all__ = [
    "EXTENTS",
    "NO_IMAGE",
    "CandidateCount",
    "ConceptState",
    "Controller",
    "Direction",
    "FindAction",
    "Jobs",
    "Outlook",
    "Progress",
    "Reach",
    "ShownHypothesis",
    "State",
    "Stream",
    "Tool",
    "Works",
    "hint",
    "is_busy",
    "why_disabled",
    "why_find_disabled",
]

"""What happens when a prompt, a frame or an object changes; no Qt."""

from .annotations import Tool, Works
from .candidates import EXTENTS
from .concept import FoundConcept, Tally
from .controller import Controller
from .jobs import Jobs, Stream
from .prefetch import Outlook, State
from .propagation import Direction, Progress, Reach
from .segmentation import ShownReading
from .why_disabled import NO_IMAGE, FindAction, hint, is_busy, obstacle, obstacle_to

__all__ = [
    "EXTENTS",
    "NO_IMAGE",
    "Controller",
    "Direction",
    "FindAction",
    "FoundConcept",
    "Jobs",
    "Outlook",
    "Progress",
    "Reach",
    "ShownReading",
    "State",
    "Stream",
    "Tally",
    "Tool",
    "Works",
    "hint",
    "is_busy",
    "obstacle",
    "obstacle_to",
]

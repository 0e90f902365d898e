"""What happens when a prompt, a frame or an object changes; no Qt."""

from .arrangement import Tool
from .controller import Controller
from .jobs import Jobs, Stream
from .propagation import Direction, Reach

__all__ = ["Controller", "Direction", "Jobs", "Reach", "Stream", "Tool"]

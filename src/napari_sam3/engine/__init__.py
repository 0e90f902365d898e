"""The engine: answers questions about frames, and has never heard of napari."""

from .concepts import Candidates
from .contrast import SHADES, Blending, Channel, Contrast
from .embeddings import EmbeddingCache
from .engine import Engine, shared_engine
from .errors import (
    FramesError,
    ModelError,
    PromptError,
    Sam3Error,
    StorageError,
    WeightsError,
)
from .frames import Frames
from .masks import ObjectMask, Reading, ReadingName
from .prompts import Prompts
from .session import Session

__all__ = [
    "SHADES",
    "Blending",
    "Candidates",
    "Channel",
    "Contrast",
    "EmbeddingCache",
    "Engine",
    "Frames",
    "FramesError",
    "ModelError",
    "ObjectMask",
    "PromptError",
    "Prompts",
    "Reading",
    "ReadingName",
    "Sam3Error",
    "Session",
    "StorageError",
    "WeightsError",
    "shared_engine",
]

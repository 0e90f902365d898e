"""The engine: answers questions about frames, and has never heard of napari."""

from .catalog import CATALOG, CatalogModel, Recommendation, known_model, wait_hint
from .checkpoints import Checkpoint, recognise
from .concepts import Candidates
from .contrast import SHADES, Blending, Channel, Contrast
from .conversion import converted, suggested_folder
from .disk_room import free_bytes
from .embeddings import EmbeddingCache
from .engine import Engine, shared_engine
from .errors import (
    CancelledError,
    FramesError,
    ModelError,
    PromptError,
    Sam3Error,
    StorageError,
    WeightsError,
)
from .frames import Frames
from .loading import downloaded, hub_folder, is_here, recommended_here
from .masks import ObjectMask, Reading, ReadingName
from .prompts import Prompts
from .session import Session
from .watch import Looking

__all__ = [
    "CATALOG",
    "SHADES",
    "Blending",
    "CancelledError",
    "Candidates",
    "CatalogModel",
    "Channel",
    "Checkpoint",
    "Contrast",
    "EmbeddingCache",
    "Engine",
    "Frames",
    "FramesError",
    "Looking",
    "ModelError",
    "ObjectMask",
    "PromptError",
    "Prompts",
    "Reading",
    "ReadingName",
    "Recommendation",
    "Sam3Error",
    "Session",
    "StorageError",
    "WeightsError",
    "converted",
    "downloaded",
    "free_bytes",
    "hub_folder",
    "is_here",
    "known_model",
    "recognise",
    "recommended_here",
    "shared_engine",
    "suggested_folder",
    "wait_hint",
]

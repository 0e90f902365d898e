"""The engine: answers questions about frames, and has never heard of napari."""

from .batches import Cost
from .budgets import Budgets, cache_folder
from .catalog import CATALOG, CatalogModel, Recommendation, known_model, wait_hint
from .checkpoints import Checkpoint, recognise
from .clip import Clip, TextWeights
from .clip_catalog import CLIPS, known_clip
from .clip_places import is_clip_here
from .concepts import Candidates
from .contrast import SHADES, Blending, Channel, Contrast
from .conversion import converted, suggested_folder
from .disk_room import free_bytes
from .embedding_tiers import Embeddings
from .engine import Engine, shared_engine
from .enhanced_phrases import EnhancedPhrases, editable_phrases
from .errors import (
    CancelledError,
    FramesError,
    ModelError,
    PromptError,
    Sam3Error,
    StorageError,
    WeightsError,
)
from .exemplars import Appearance, Exemplar
from .frame_levels import FrameLevel
from .frames import LARGE as LARGE_FRAME
from .frames import Frames
from .library import Library
from .loading import downloaded, downloaded_clip, hub_folder, is_here, recommended_here
from .masks import ObjectMask, Reading, ReadingName
from .masks import Place as MaskPlace
from .phrases import TEXT_IS_WEAK, Phrase
from .phrases import split as split_phrases
from .prompts import Prompts
from .selection import Chosen, Selection, choose, position_at
from .session import Session
from .sieve import Sieve
from .watch import Looking
from .windows import PixelBox

__all__ = [
    "CATALOG",
    "CLIPS",
    "LARGE_FRAME",
    "SHADES",
    "TEXT_IS_WEAK",
    "Appearance",
    "Blending",
    "Budgets",
    "CancelledError",
    "Candidates",
    "CatalogModel",
    "Channel",
    "Checkpoint",
    "Chosen",
    "Clip",
    "Contrast",
    "Cost",
    "Embeddings",
    "Engine",
    "EnhancedPhrases",
    "Exemplar",
    "FrameLevel",
    "Frames",
    "FramesError",
    "Library",
    "Looking",
    "MaskPlace",
    "ModelError",
    "ObjectMask",
    "Phrase",
    "PixelBox",
    "PromptError",
    "Prompts",
    "Reading",
    "ReadingName",
    "Recommendation",
    "Sam3Error",
    "Selection",
    "Session",
    "Sieve",
    "StorageError",
    "TextWeights",
    "WeightsError",
    "cache_folder",
    "choose",
    "converted",
    "downloaded",
    "downloaded_clip",
    "editable_phrases",
    "free_bytes",
    "hub_folder",
    "is_clip_here",
    "is_here",
    "known_clip",
    "known_model",
    "position_at",
    "recognise",
    "recommended_here",
    "shared_engine",
    "split_phrases",
    "suggested_folder",
    "wait_hint",
]

"""The engine: answers questions about frames, and has never heard of napari."""

from .batches import Cost
from .cache.budgets import Budgets, cache_folder
from .cache.tiers import Embeddings
from .clip.catalog import CLIPS, known_clip
from .clip.clip import Clip, TextWeights
from .clip.enhanced_phrases import EnhancedPhrases, editable_phrases
from .clip.phrases import TEXT_IS_WEAK, Phrase
from .clip.phrases import split as split_phrases
from .clip.places import is_clip_here
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
from .finding.concepts import Candidates
from .finding.exemplars import Appearance, Exemplar
from .finding.library import Library
from .finding.selection import Chosen, Selection, choose, position_at
from .finding.sieve import Sieve
from .images.contrast import SHADES, Blending, Channel, Contrast
from .images.frame_levels import FrameLevel
from .images.frames import LARGE as LARGE_FRAME
from .images.frames import Frames
from .images.windows import PixelBox
from .loading import downloaded, downloaded_clip, hub_folder, is_here, recommended_here
from .masks import ObjectMask, Reading, ReadingName
from .masks import Place as MaskPlace
from .prompts import Prompts
from .session import Session
from .watch import Looking
from .weights.catalog import CATALOG, CatalogModel, Recommendation, known_model, wait_hint
from .weights.checkpoints import Checkpoint, recognise
from .weights.conversion import converted, suggested_folder
from .weights.disk_room import free_bytes

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

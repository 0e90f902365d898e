"""The engine: answers questions about frames, and has never heard of napari."""

from ..storage import free_bytes
from ..values import (
    LARGE_FRAME,
    Appearance,
    CancelledError,
    Candidates,
    Exemplar,
    FramesError,
    HypothesisName,
    MaskPlace,
    ModelError,
    ObjectMask,
    PixelBox,
    PromptError,
    Prompts,
    Reading,
    Sam3Error,
    StorageError,
    WeightsError,
)
from .backends.clip.clip import TEXT_IS_WEAK, Clip, Phrase, TextWeights, split
from .backends.clip.clip import split as split_phrases
from .backends.clip.enhanced_phrases import EnhancedPhrases, editable_phrases
from .cache.budgets import Budgets, cache_folder
from .cache.tiers import Embeddings
from .engine import Engine, shared_engine
from .exemplar_library import Library
from .images.contrast import SHADES, Blending, Channel, Contrast
from .images.frames import FrameLevel, Frames
from .loading import downloaded, downloaded_clip, hub_folder, is_here, recommended_here
from .progress import EncodingProgress
from .scheduling import Cost
from .selection import CandidateFilter, KeptCandidates, Selection, choose, position_at
from .session import Session
from .weights.catalog import CATALOG, CatalogModel, Recommendation, known_model, wait_hint
from .weights.checkpoints import Checkpoint, recognise
from .weights.clip_folder import CLIPS, is_clip_here, known_clip
from .weights.conversion import converted, suggested_folder

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
    "CandidateFilter",
    "Candidates",
    "CatalogModel",
    "Channel",
    "Checkpoint",
    "Clip",
    "Contrast",
    "Cost",
    "Embeddings",
    "EncodingProgress",
    "Engine",
    "EnhancedPhrases",
    "Exemplar",
    "FrameLevel",
    "Frames",
    "FramesError",
    "HypothesisName",
    "KeptCandidates",
    "Library",
    "MaskPlace",
    "ModelError",
    "ObjectMask",
    "Phrase",
    "PixelBox",
    "PromptError",
    "Prompts",
    "Reading",
    "Recommendation",
    "Sam3Error",
    "Selection",
    "Session",
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
    "split",
    "split_phrases",
    "suggested_folder",
    "wait_hint",
]

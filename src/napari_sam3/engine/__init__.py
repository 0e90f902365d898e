"""The engine: masks, candidates and embeddings of frames; it knows neither napari nor Qt."""

from ..storage import free_bytes
from ..values import (
    LARGE_FRAME,
    Appearance,
    Box,
    CancelledError,
    Candidates,
    Exemplar,
    FramesError,
    HypothesisName,
    Mask,
    ModelError,
    PromptError,
    Prompts,
    Sam3Error,
    StorageError,
    WeightsError,
)
from .backends.clip.clip import TEXT_IS_WEAK, Clip, Phrase, TextWeights, split_phrases
from .backends.clip.enhanced_phrases import EnhancedPhrases, editable_phrases
from .cache.budgets import Budgets, cache_folder
from .cache.content_hash import first_frame_digest
from .cache.tiers import Embeddings
from .engine import Engine, shared_engine
from .exemplar_library import ExemplarLibrary
from .images.contrast import SHADES, Blending, Channel, Contrast, describe_contrast
from .images.frames import FrameLevel, Frames
from .loading import converted, downloaded, recommended_here, suggested_folder
from .progress import EncodingProgress
from .scheduling import Cost
from .selection import CandidateFilter, KeptCandidates, Selection, filter_candidates, position_at
from .session import Session
from .weights.catalog import (
    CATALOG,
    CLIPS,
    CatalogModel,
    Recommendation,
    known_clip,
    known_model,
    wait_hint,
)
from .weights.checkpoints import Checkpoint, recognise
from .weights.local_models import hub_folder, is_clip_here, is_here

__all__ = [
    "CATALOG",
    "CLIPS",
    "LARGE_FRAME",
    "SHADES",
    "TEXT_IS_WEAK",
    "Appearance",
    "Blending",
    "Box",
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
    "ExemplarLibrary",
    "FrameLevel",
    "Frames",
    "FramesError",
    "HypothesisName",
    "KeptCandidates",
    "Mask",
    "ModelError",
    "Phrase",
    "PromptError",
    "Prompts",
    "Recommendation",
    "Sam3Error",
    "Selection",
    "Session",
    "StorageError",
    "TextWeights",
    "WeightsError",
    "cache_folder",
    "converted",
    "describe_contrast",
    "downloaded",
    "editable_phrases",
    "filter_candidates",
    "first_frame_digest",
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

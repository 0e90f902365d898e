"""Models asked step by step, so that each step can be timed."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..backend import Answer, Backend, Embedding
from ..finding.concepts import Concept
from ..prompts import Prompts
from .tracking import Sighting


class Trial(Protocol):
    """A model and one image, which stands for all frames of a stack."""

    reads_text: bool

    def encode(self) -> None:
        """Embed the image; all other steps come later."""

    def click(self, point: Sequence[float]) -> None:
        """Outline what lies at a point, (row, col) in pixels of the image."""

    def find(self, word: str) -> None:
        """Find all objects that a word describes."""

    def start(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Begin to follow objects with these masks, (H, W) each."""

    def follow(self) -> None:
        """Find them on the next frame, which is embedded already, and remember what is seen."""


class OwnTrial:
    """Asks a model the way the engine asks it.

    Parameters
    ----------
    backend : Backend
        The model.
    image : (H, W, 3) array of float32
        In 0..1.
    """

    _embedding: Embedding

    def __init__(self, backend: Backend, image: NDArray[np.float32]) -> None:
        self.reads_text = backend.reads_text
        self._backend = backend
        self._image = image

    def encode(self) -> None:
        """Embed the image; all other steps come later."""
        self._embedding = self._backend.encode(self._image)

    def click(self, point: Sequence[float]) -> None:
        """Outline what lies at a point, (row, col) in pixels of the image."""
        self._backend.segment(self._embedding, [Prompts(points=[point])], [None])

    def find(self, word: str) -> None:
        """Find all objects that a word describes."""
        self._backend.find(self._embedding, Concept(word))

    def start(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Begin to follow objects with these masks, (H, W) each."""
        remember = self._backend.remember
        self._tracks = [remember(None, self._embedding, Answer.given(mask)) for mask in masks]

    def follow(self) -> None:
        """Find them on the next frame, which is embedded already, and remember what is seen."""
        frame = copy(self._embedding)  # as for any new frame, nothing is derived from it so far
        answers = self._backend.follow(frame, self._tracks)
        self._tracks = [
            self._backend.remember(track, frame, answer) if _is_seen(answer) else track
            for track, answer in zip(self._tracks, answers, strict=True)
        ]


def forget_gpu_peak(device: str) -> None:
    """Begin to watch anew how much memory of the GPU is used, where there is CUDA."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def gpu_peak(device: str) -> int | None:
    """Return how many bytes of the GPU were used at most, or None without CUDA."""
    if torch.device(device).type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device)


def _is_seen(answer: Answer) -> bool:
    """Whether an object is there; what random weights see may have no pixel."""
    return isinstance(answer.memory, Sighting) or bool(answer.pixels.any())

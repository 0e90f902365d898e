"""The model in the package: a small network that answers at once, on any computer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from .backend import Answer, Embedding, own
from .concepts import Candidates, Concept
from .devices import checked_device
from .embedded_answers import answer_prompts, answer_tracks
from .embedded_everything import find_everything
from .embedded_levels import arithmetic
from .embedded_pyramid import Pyramid, encode_pyramid
from .embedded_tracks import Track, start_track
from .embedded_weights import load_network, shipped_weights, weights_revision
from .errors import ModelError
from .network import Network
from .prompts import Prompts


class EmbeddedBackend:
    """Answers clicks, boxes and outlines, follows objects, and finds all of them.

    Use `load`. The methods are those of `Backend`.
    """

    name = "embedded"
    reads_concepts = False

    def __init__(self, network: Network, device: str, revision: str) -> None:
        self.device = device
        self.revision = revision
        self._network = network.to(device)

    @classmethod
    def load(cls, path: Path | None = None, device: str = "auto") -> Self:
        """Load weights, those of the package unless others are named.

        Raises
        ------
        WeightsError
            If the file of weights cannot be used.
        ModelError
            If there is no such device.
        """
        path = path or shipped_weights()
        chosen = checked_device(device)
        return cls(load_network(path), chosen, f"{weights_revision(path)}-{arithmetic(chosen)}")

    @torch.inference_mode()
    def encode(self, image: NDArray[np.float32]) -> Pyramid:
        """Embed one image, (H, W, 3)."""
        return encode_pyramid(self._network, image, self.device)

    @torch.inference_mode()
    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Answer | None],
    ) -> list[Answer]:
        """Answer the prompts of several objects in one pass."""
        return answer_prompts(self._network, own(embedding, Pyramid), prompts, previous)

    @torch.inference_mode()
    def everything(self, embedding: Embedding) -> Candidates:
        """Find all objects of the image, without prompts."""
        return find_everything(self._network, own(embedding, Pyramid))

    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Refuse: this model reads neither texts nor exemplars."""
        raise ModelError("The embedded model reads neither text nor exemplars: click instead.")

    @torch.inference_mode()
    def remember(self, track: Track | None, embedding: Embedding, answer: Answer) -> Track:
        """Return the track of an object that is on the embedded image as answered."""
        return start_track(self._network, track, own(embedding, Pyramid), answer.pixels)

    @torch.inference_mode()
    def follow(self, embedding: Embedding, tracks: Sequence[Track]) -> list[Answer]:
        """Find the tracked objects on the next image, in one pass."""
        return answer_tracks(self._network, own(embedding, Pyramid), tracks)

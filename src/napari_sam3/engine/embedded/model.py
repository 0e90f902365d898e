"""The model in the package: a small network that answers at once, on any computer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from ..backend import Answer, Embedding, own, reads_no_text
from ..cache.packing import Packed
from ..devices import checked_device, finish
from ..finding.concepts import Candidates, Concept
from ..finding.exemplars import Appearance, Box
from ..prompts import Prompts
from ..sam.passes import enough_memory
from .answers import answer_prompts, answer_tracks
from .everything import find_everything
from .exemplars import appearance_in, find_alike
from .levels import arithmetic
from .network import Network
from .packing import packed_pyramid, unpacked_pyramid
from .pyramid import Pyramid, encode_pyramids
from .tracks import Track, start_track
from .weights import load_network, shipped_weights, weights_revision


class EmbeddedBackend:
    """Answers clicks, boxes and outlines, follows objects, and finds all of them.

    Use `load`. The methods are those of `Backend`.
    """

    name = "embedded"
    reads_text = False
    reads_exemplars = True

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
        return encode_pyramids(self._network, [image], self.device)[0]

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[Pyramid]:
        """Embed several images, each (H, W, 3); those of one shape go together."""
        with enough_memory():
            made = encode_pyramids(self._network, images, self.device)
        finish(self.device)
        return made

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        return packed_pyramid(own(embedding, Pyramid))

    def unpack(self, packed: Packed) -> Pyramid:
        """Return the embedding that was packed, as it was."""
        return unpacked_pyramid(packed, self.device)

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

    @torch.inference_mode()
    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Find all objects of the image that are like exemplars; texts are refused."""
        if concept.has_text:
            raise reads_no_text(self.name)
        return find_alike(self._network, own(embedding, Pyramid), concept)

    @torch.inference_mode()
    def appearance(self, embedding: Embedding, box: Box) -> Appearance:
        """Return what objects like the one in a box of the image are recognised by elsewhere."""
        return appearance_in(self._network, own(embedding, Pyramid), box)

    @torch.inference_mode()
    def remember(self, track: Track | None, embedding: Embedding, answer: Answer) -> Track:
        """Return the track of an object that is on the embedded image as answered."""
        return start_track(self._network, track, own(embedding, Pyramid), answer.readings[0])

    @torch.inference_mode()
    def follow(self, embedding: Embedding, tracks: Sequence[Track]) -> list[Answer]:
        """Find the tracked objects on the next image, in one pass."""
        return answer_tracks(self._network, own(embedding, Pyramid), tracks)

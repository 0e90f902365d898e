"""The model in the package: a small network that answers at once, on any computer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ....values import Appearance, Candidates, Concept, Corners, Prompts, WeightsError
from ...devices import checked_device, compute_dtype, synchronize
from ..base import Backend, Embedding, Packed, Prediction, own, reads_no_text
from ..micro_batches import enough_memory
from ..tensors import packed_tensors, unpacked_tensors
from .automatic_masks import find_everything
from .exemplars import appearance_in, find_similar
from .memory_bank import Track, start_track
from .network import Network, fold_batchnorm
from .prediction import predict_prompted, predict_propagated
from .pyramid import Level, Pyramid, encode_pyramids

PARTS = ("fine", "coarse", "dense")


def packed_pyramid(pyramid: Pyramid) -> Packed:
    """Pack an image and its levels."""
    tensors = {"image": pyramid.image}
    for number, level in enumerate(pyramid.levels):
        tensors |= {f"{part}{number}": getattr(level, part) for part in PARTS}
    return packed_tensors(tensors, {"scales": [level.scale for level in pyramid.levels]})


def unpacked_pyramid(packed: Packed, device: str) -> Pyramid:
    """Return the pyramid that was packed."""
    tensors = unpacked_tensors(packed, device)
    levels = tuple(
        Level(scale, *(tensors[f"{part}{number}"] for part in PARTS))
        for number, scale in enumerate(packed.facts["scales"])
    )
    return Pyramid(tensors["image"], levels)


FORMAT = "napari-sam3 embedded 2"
CODE_REVISION = 1
"""Goes up whenever the code would embed the same image differently."""


def shipped_weights() -> Path:
    """Return where the weights lie that come with the package."""
    return Path(__file__).with_name("embedded.safetensors")


def load_network(path: Path) -> Network:
    """Read a network for inference, its batch normalisation folded away.

    Raises
    ------
    WeightsError
        If the file is missing, broken, or made for another network.
    """
    tensors = _read(path)
    network = Network()
    _check(path, tensors, network.state_dict())
    network.load_state_dict(tensors)
    fold_batchnorm(network).requires_grad_(False)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network


def weights_revision(path: Path) -> str:
    """Name this file's content together with the code that reads it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"embedded-{CODE_REVISION}-{digest[:12]}"


def _read(path: Path) -> dict[str, Tensor]:
    try:
        file = safe_open(path, framework="pt")
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read ({error}): {_ADVICE}") from error
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file ({error}): {_ADVICE}"
        ) from error
    with file:
        _check_format(path, file.metadata() or {})
        return {_current_name(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _current_name(name: str) -> str:
    """Return how a tensor is called today: earlier files name the propagation decoder otherwise."""
    return name.replace("follower.", "propagation_decoder.", 1)


def _check_format(path: Path, facts: dict[str, str]) -> None:
    found = facts.get("format", "nothing")
    if found != FORMAT:
        raise WeightsError(
            f"{path} says its format is {found!r}, this version reads {FORMAT!r}: {_ADVICE}"
        )


def _check(path: Path, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    missing = sorted(set(wanted) - set(found))
    unexpected = sorted(set(found) - set(wanted))
    pairs = {name: (wanted[name], found[name]) for name in wanted if name in found}
    misshapen = [name for name, (own, other) in pairs.items() if own.shape != other.shape]
    rounded = [name for name, pair in pairs.items() if _is_rounded(*pair)]
    spoiled = [name for name, (_, other) in pairs.items() if not other.isfinite().all()]
    problems = [
        ("lacks", missing),
        ("does not know", unexpected),
        ("misshapes", misshapen),
        ("holds whole numbers in", rounded),
        ("holds values that are no numbers in", spoiled),
    ]
    for verb, names in problems:
        if names:
            raise WeightsError(f"{path} {verb} {_listed(names)}: {_ADVICE}")


def _is_rounded(wanted: Tensor, found: Tensor) -> bool:
    return wanted.is_floating_point() and not found.is_floating_point()


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


_ADVICE = "choose another file, or reinstall napari-sam3 to get its own weights back."


class EmbeddedBackend(Backend):
    """Answers clicks, boxes and outlines, follows objects, and finds all of them.

    Use `load`.
    """

    name = "embedded"
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
        return cls(load_network(path), chosen, f"{weights_revision(path)}-{compute_dtype(chosen)}")

    @torch.inference_mode()
    def encode(self, image: NDArray[np.float32]) -> Pyramid:
        """Embed one image, (H, W, 3)."""
        return encode_pyramids(self._network, [image], self.device)[0]

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[Pyramid]:
        """Embed several images, each (H, W, 3); those of one shape go together."""
        with enough_memory():
            made = encode_pyramids(self._network, images, self.device)
        synchronize(self.device)
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
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        """Answer the prompts of several objects in one pass."""
        return predict_prompted(self._network, own(embedding, Pyramid), prompts, previous)

    @torch.inference_mode()
    def everything(self, embedding: Embedding) -> Candidates:
        """Find all objects of the image, without prompts."""
        return find_everything(self._network, own(embedding, Pyramid))

    @torch.inference_mode()
    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Find all objects of the image that are like exemplars; texts are refused."""
        if concept.has_text:
            raise reads_no_text(self.name)
        return find_similar(self._network, own(embedding, Pyramid), concept)

    @torch.inference_mode()
    def appearance(self, embedding: Embedding, box: Corners) -> Appearance:
        """Return what objects like the one in a box of the image are recognised by elsewhere."""
        return appearance_in(self._network, own(embedding, Pyramid), box)

    @torch.inference_mode()
    def update_memory(self, track: Track | None, embedding: Embedding, answer: Prediction) -> Track:
        """Return the track of an object that is on the embedded image as answered."""
        return start_track(self._network, track, own(embedding, Pyramid), answer.hypotheses[0])

    @torch.inference_mode()
    def propagate(self, embedding: Embedding, tracks: Sequence[Track]) -> list[Prediction]:
        """Find the tracked objects on the next image, in one pass."""
        return predict_propagated(self._network, own(embedding, Pyramid), tracks)

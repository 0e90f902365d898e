"""The embedded model: a small network in the package that segments at once, on any computer."""

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
from .automatic_mask_generation import generate_masks
from .exemplars import describe_exemplar, detect_similar
from .feature_pyramid import FeatureLevel, FeaturePyramid, encode_pyramids
from .memory_bank import MemoryBank, predict_propagated, updated_memory
from .multimask_output import predict_prompted
from .network import Network, fold_batchnorm

FORMAT = "napari-sam3 embedded 2"
CODE_REVISION = 1
"""Goes up whenever the code would encode the same image differently."""
PARTS = ("fine", "coarse", "dense")
"""The tensors of a level of the feature pyramid."""

_ADVICE = "choose another file, or reinstall napari-sam3 to get its own weights back."


class EmbeddedBackend(Backend):
    """Segments by clicks, boxes and outlines, propagates objects, and detects all of them.

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
        """Load weights, by default those of the package.

        Raises
        ------
        WeightsError
            If the file of weights cannot be used.
        ModelError
            If there is no such device.
        """
        path = path or shipped_weights()
        device = checked_device(device)
        network = load_network(path)
        return cls(network, device, f"{weights_revision(path)}-{compute_dtype(device)}")

    @torch.inference_mode()
    def encode(self, image: NDArray[np.float32]) -> FeaturePyramid:
        """Encode one image, (H, W, 3)."""
        return encode_pyramids(self._network, [image], self.device)[0]

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> list[FeaturePyramid]:
        """Encode several images, each (H, W, 3); those of one shape go together."""
        with enough_memory():
            pyramids = encode_pyramids(self._network, images, self.device)
        synchronize(self.device)
        return pyramids

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        pyramid = own(embedding, FeaturePyramid)
        tensors = {"image": pyramid.image}
        for number, level in enumerate(pyramid.levels):
            tensors |= {f"{part}{number}": getattr(level, part) for part in PARTS}
        return packed_tensors(tensors, {"scales": [level.scale for level in pyramid.levels]})

    def unpack(self, packed: Packed) -> FeaturePyramid:
        """Return the embedding that was packed, as it was."""
        tensors = unpacked_tensors(packed, self.device)
        levels = tuple(
            FeatureLevel(scale, *(tensors[f"{part}{number}"] for part in PARTS))
            for number, scale in enumerate(packed.facts["scales"])
        )
        return FeaturePyramid(tensors["image"], levels)

    @torch.inference_mode()
    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        """Segment several objects by their prompts, in one batch."""
        return predict_prompted(self._network, own(embedding, FeaturePyramid), prompts, previous)

    @torch.inference_mode()
    def everything(self, embedding: Embedding) -> Candidates:
        """Detect all objects of the image, without prompts."""
        return generate_masks(self._network, own(embedding, FeaturePyramid))

    @torch.inference_mode()
    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Detect all objects of the image that are similar to exemplars; texts are refused."""
        if concept.has_text:
            raise reads_no_text(self.name)
        return detect_similar(self._network, own(embedding, FeaturePyramid), concept)

    @torch.inference_mode()
    def appearance(self, embedding: Embedding, box: Corners) -> Appearance:
        """Return the appearance descriptor of the object in a box of the image."""
        return describe_exemplar(self._network, own(embedding, FeaturePyramid), box)

    @torch.inference_mode()
    def update_memory(
        self, memory: MemoryBank | None, embedding: Embedding, prediction: Prediction
    ) -> MemoryBank:
        """Return the memory of an object after the encoded image, on which it is as predicted."""
        pyramid = own(embedding, FeaturePyramid)
        return updated_memory(self._network, memory, pyramid, prediction.hypotheses[0])

    @torch.inference_mode()
    def propagate(self, embedding: Embedding, memories: Sequence[MemoryBank]) -> list[Prediction]:
        """Segment objects on the next image by their memories, in one batch."""
        return predict_propagated(self._network, own(embedding, FeaturePyramid), memories)


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
    tensors = _read_tensors(path)
    network = Network()
    _check_tensors(path, tensors, network.state_dict())
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


def _read_tensors(path: Path) -> dict[str, Tensor]:
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
        return {current_name(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def current_name(name: str) -> str:
    """Return the name of a tensor in the network; files name the propagation decoder otherwise."""
    return name.replace("follower.", "propagation_decoder.", 1)


def _check_format(path: Path, facts: dict[str, str]) -> None:
    found = facts.get("format", "nothing")
    if found != FORMAT:
        raise WeightsError(
            f"{path} says its format is {found!r}, this version reads {FORMAT!r}: {_ADVICE}"
        )


def _check_tensors(path: Path, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    missing = sorted(set(wanted) - set(found))
    unexpected = sorted(set(found) - set(wanted))
    pairs = {name: (wanted[name], found[name]) for name in wanted if name in found}
    misshapen = [name for name, pair in pairs.items() if pair[0].shape != pair[1].shape]
    rounded = [name for name, pair in pairs.items() if _is_rounded(*pair)]
    not_finite = [name for name, (_, tensor) in pairs.items() if not tensor.isfinite().all()]
    problems = [
        ("lacks", missing),
        ("does not know", unexpected),
        ("misshapes", misshapen),
        ("holds whole numbers in", rounded),
        ("holds values that are no numbers in", not_finite),
    ]
    for verb, names in problems:
        if names:
            raise WeightsError(f"{path} {verb} {_listed(names)}: {_ADVICE}")


def _is_rounded(wanted: Tensor, found: Tensor) -> bool:
    return wanted.is_floating_point() and not found.is_floating_point()


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest

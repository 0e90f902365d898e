"""The base class of all models, with defaults that refuse what a model cannot do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...values import Appearance, Candidates, Concept, Corners, Mask, ModelError, Prompts
from ..weights.catalog import Ability, models_with


class Embedding(Protocol):
    """What a model has encoded of one image; opaque and never changed by a caller."""

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""


Own = TypeVar("Own")


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """An embedding as plain arrays, from which its model makes it again."""

    arrays: Mapping[str, NDArray[Any]]  # in the main memory, of any shape and type; not changed
    facts: Mapping[str, Any]  # numbers, texts and lists of them, as JSON has

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model predicts of one object on one image."""

    hypotheses: tuple[Mask, ...]  # best first, at least one; pixels (H, W) of the image
    presence: float = 1.0  # how sure the model is that the object is on the image, 0..1
    # The model's own: the mask logits of each hypothesis by its name, which further prompts refine,
    # or what goes into the memory of a propagated object
    memory: Any = field(default=None, repr=False)

    @classmethod
    def given(cls, mask: NDArray[np.bool_]) -> Self:
        """Take a mask, (H, W), as it is."""
        return cls((Mask.of(mask),))

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The best hypothesis, (H, W)."""
        return self.hypotheses[0].pixels

    @property
    def nbytes(self) -> int:
        """Bytes of the masks, and of what the model needs to refine them."""
        logits = self.memory.values() if isinstance(self.memory, Mapping) else ()
        masks = sum([hypothesis.crop.nbytes for hypothesis in self.hypotheses])
        return masks + sum([array.nbytes for array in logits])


class Backend(ABC):
    """A model, loaded on a device.

    A model overrides what it can do; all else refuses with a sentence that names a model which can.
    Its kind has a record in `weights.catalog`.

    Images are (H, W, 3) float32 arrays in 0..1, as the user sees them. Methods are called by one
    thread at a time. A memory is what the model keeps of one object from frame to frame; it is
    opaque, of constant size, and a new one is returned rather than the old one changed.
    """

    name: str
    revision: str  # changes whenever the same image would be encoded differently
    device: str
    reads_text: bool = False  # whether `find` understands words
    reads_exemplars: bool = False  # whether `find` and `appearance` understand exemplars

    @abstractmethod
    def encode(self, image: NDArray[np.float32]) -> Embedding:
        """Encode one image, (H, W, 3)."""

    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> Sequence[Embedding]:
        """Encode several images, each (H, W, 3), in one batch if they go together.

        Raises
        ------
        DeviceMemoryError
            If the memory of the device is too small for so many.
        """
        return [self.encode(image) for image in images]

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""
        raise cannot_pack(self.name)

    def unpack(self, packed: Packed) -> Embedding:
        """Return the embedding that was packed, as it was."""
        raise cannot_pack(self.name)

    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        """Segment several objects by their prompts, in one batch.

        ``previous`` holds for each object the prediction that its prompts extend, or None.
        """
        raise cannot_segment(self.name)

    def everything(self, embedding: Embedding) -> Candidates:
        """Detect all objects of the image, without prompts."""
        raise cannot_detect(self.name)

    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Detect all objects of the image that a text or exemplars describe."""
        if concept.has_text and self.reads_exemplars:
            raise reads_no_text(self.name)
        raise reads_no_exemplars(self.name)

    def appearance(self, embedding: Embedding, box: Corners) -> Appearance:
        """Return what objects similar to the one in a box are recognised by on other images."""
        raise reads_no_exemplars(self.name)

    def update_memory(
        self, memory: Any | None, embedding: Embedding, prediction: Prediction
    ) -> Any:
        """Return the memory of an object after the encoded image, on which it is as predicted.

        ``memory`` is what is kept of the frames before, or None where the object starts. The
        prediction is one of `propagate`, or `Prediction.given`; its best hypothesis is not empty.
        """
        raise cannot_propagate(self.name)

    def propagate(self, embedding: Embedding, memories: Sequence[Any]) -> list[Prediction]:
        """Segment objects on the next image by their memories, in one batch.

        The prediction of an object that is not there has an empty mask and a low presence.
        """
        raise cannot_propagate(self.name)


def own(embedding: Embedding, kind: type[Own]) -> Own:
    """Return an embedding, after a check that the model itself has made it.

    Raises
    ------
    ModelError
        If another model has made it.
    """
    if not isinstance(embedding, kind):
        raise ModelError("This image was encoded by another model: encode it again.")
    return embedding


def reads_no_text(name: str) -> ModelError:
    """Return the error of a model of this name that gets a text."""
    return ModelError(
        f"The model {name} reads no text: draw a box around an object that is meant, choose a text "
        f"model such as BiomedCLIP beside it, or load {_models('text')}, which reads it."
    )


def reads_no_exemplars(name: str) -> ModelError:
    """Return the error of a model of this name that gets exemplars."""
    return ModelError(
        f"The model {name} cannot find what is like an exemplar: click on the objects, or load "
        f"{_models('exemplars')}, which can."
    )


def cannot_detect(name: str) -> ModelError:
    """Return the error of a model of this name that has no automatic mask generation."""
    return ModelError(
        f"The model {name} cannot find objects without prompts: click on them, or load "
        f"{_models('everything')}, which can."
    )


def cannot_segment(name: str) -> ModelError:
    """Return the error of a model of this name that gets points, boxes or masks."""
    return ModelError(
        f"The model {name} takes no points, boxes or outlines: find everything with it, or load "
        f"{_models('points')}, which takes them."
    )


def cannot_propagate(name: str) -> ModelError:
    """Return the error of a model of this name that works on single images."""
    return ModelError(
        f"The model {name} works on single images: click on every frame, or load "
        f"{_models('video')}, which propagates."
    )


def cannot_pack(name: str) -> ModelError:
    """Return the error of a model of this name whose embeddings stay on the device."""
    return ModelError(
        f"The model {name} cannot keep what it has encoded in memory or on disk: open the images "
        "without a folder, or load another model."
    )


def _models(ability: Ability) -> str:
    """Name models that can do something, at most two."""
    return " or ".join(models_with(ability)[:2])

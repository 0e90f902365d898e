"""What every model can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...values import Appearance, Box, Candidates, Concept, ModelError, Prompts, Reading


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """All that a model needs to have an embedding of its own back."""

    arrays: Mapping[str, NDArray[Any]]  # in the main memory, of any shape and type; not changed
    facts: Mapping[str, Any]  # numbers, texts and lists of them, as JSON has

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())


Own = TypeVar("Own")


class Embedding(Protocol):
    """What a model knows about one image; opaque and never changed by a caller."""

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says about one object on one image."""

    hypotheses: tuple[Reading, ...]  # best first, at least one; pixels (H, W) of the image
    presence: float = 1.0  # how sure the model is that the object is on the image, 0..1
    # The model's own: what refines each reading, by its name, or what remembers a followed object
    memory: Any = field(default=None, repr=False)

    @classmethod
    def given(cls, mask: NDArray[np.bool_]) -> Self:
        """Take a mask, (H, W), as it is."""
        return cls((Reading("whole", mask, 1.0),))

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The best reading, (H, W)."""
        return self.hypotheses[0].pixels

    @property
    def nbytes(self) -> int:
        """Bytes of the masks, and of what the model needs to refine them."""
        known = self.memory.values() if isinstance(self.memory, Mapping) else ()
        masks = sum(hypothesis.patch.nbytes for hypothesis in self.hypotheses)
        return masks + sum(one.nbytes for one in known)


class Backend(Protocol):
    """A model, loaded on a device.

    Images are (H, W, 3) float32 arrays in 0..1, as the user sees them. Methods are called by one
    thread at a time. A track is what the model remembers of one object from frame to frame; it is
    opaque, of constant size, and a new one is returned rather than the old one changed.
    """

    name: str
    revision: str  # changes whenever the same image would be embedded differently
    device: str
    reads_text: bool  # whether `find` understands words
    reads_exemplars: bool  # whether `find` understands exemplars, and `appearance` shows it one

    def encode(self, image: NDArray[np.float32]) -> Embedding:
        """Embed one image, (H, W, 3)."""

    def encode_batch(self, images: Sequence[NDArray[np.float32]]) -> Sequence[Embedding]:
        """Embed several images, each (H, W, 3), in one pass if they go together.

        Raises
        ------
        NoRoomError
            If the memory of the device is too small for so many.
        """

    def pack(self, embedding: Embedding) -> Packed:
        """Return an embedding as plain arrays in the main memory."""

    def unpack(self, packed: Packed) -> Embedding:
        """Return the embedding that was packed, as it was."""

    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        """Answer the prompts of several objects in one pass.

        ``previous`` holds for each object the answer that its prompts extend, or None.
        """

    def everything(self, embedding: Embedding) -> Candidates:
        """Find all objects of the image, without prompts."""

    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Find all objects of the image that a text or exemplars describe."""

    def appearance(self, embedding: Embedding, box: Box) -> Appearance:
        """Return what objects like the one in a box of the image are recognised by elsewhere."""

    def update_memory(self, track: Any | None, embedding: Embedding, answer: Prediction) -> Any:
        """Return the track of an object that is on the embedded image as answered.

        ``track`` is the object's track so far, or None where it starts. The answer is one of
        `propagate`, or `Answer.given`; its best reading is not empty.
        """

    def propagate(self, embedding: Embedding, tracks: Sequence[Any]) -> list[Prediction]:
        """Find the tracked objects on the next image, in one pass.

        An object that is not there answers with an empty mask and a low presence.
        """


def own(embedding: Embedding, kind: type[Own]) -> Own:
    """Return an embedding that a model has made itself.

    Raises
    ------
    ModelError
        If another model has made it.
    """
    if not isinstance(embedding, kind):
        raise ModelError("This image was embedded by another model: embed it again.")
    return embedding


def reads_no_text(name: str) -> ModelError:
    """Return the error of a model of this name that is asked for a text."""
    return ModelError(
        f"The model {name} reads no text: draw a box around an object that is meant, choose a text "
        "model such as BiomedCLIP beside it, or load facebook/sam3, which reads it."
    )


def reads_no_exemplars(name: str) -> ModelError:
    """Return the error of a model of this name that is asked for objects like another one."""
    return ModelError(
        f"The model {name} cannot find what is like an exemplar: click on the objects, or load "
        "embedded or facebook/sam3, which can."
    )

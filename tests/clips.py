"""A text model that needs no weights: it knows colours by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_sam3.values.errors import PromptError

NAMES = ("red", "green", "blue")


@dataclass
class ColourModel:
    """Gives an image and a text that names its strongest colour similar embeddings.

    An image without colour and a text that names none are similar to nothing in particular.
    """

    name: str = "colours"
    device: str = "cpu"
    is_multilingual: bool = False
    scale: float = 20
    max_length: int = 60
    image_shapes: list[tuple[int, ...]] = field(default_factory=list)  # shapes of images
    image_batches: int = 0
    texts: list[str] = field(default_factory=list)
    text_batches: int = 0

    def check(self, text: str) -> None:
        if len(text) > self.max_length:
            raise PromptError("too long")

    def encode_images(self, images: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        self.image_batches += 1
        batch = list(images)
        self.image_shapes += [image.shape for image in batch]
        return np.stack([_unit(image.mean(axis=(0, 1))) for image in batch])

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.text_batches += 1
        self.texts += texts
        return np.stack([_unit(np.array([name in text for name in NAMES])) for text in texts])


def _unit(colour: NDArray[np.generic]) -> NDArray[np.float32]:
    values = np.append(colour, 0.1).astype(np.float32)
    return values / np.linalg.norm(values)

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
    """Takes the strongest colour of a picture and the first colour named in a text for alike.

    A picture without colour and a text that names none are like nothing in particular.
    """

    name: str = "colours"
    device: str = "cpu"
    is_multilingual: bool = False
    scale: float = 20
    longest: int = 60
    seen: list[tuple[int, ...]] = field(default_factory=list)  # shapes of pictures
    looks: int = 0
    read: list[str] = field(default_factory=list)
    hypotheses: int = 0

    def check(self, text: str) -> None:
        if len(text) > self.longest:
            raise PromptError("too long")

    def image_vectors(self, pictures: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        self.looks += 1
        shown = list(pictures)
        self.seen += [picture.shape for picture in shown]
        return np.stack([_unit(picture.mean(axis=(0, 1))) for picture in shown])

    def text_vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.hypotheses += 1
        self.read += texts
        return np.stack([_unit(np.array([name in text for name in NAMES])) for text in texts])


def _unit(colour: NDArray[np.generic]) -> NDArray[np.float32]:
    values = np.append(colour, 0.1).astype(np.float32)
    return values / np.linalg.norm(values)

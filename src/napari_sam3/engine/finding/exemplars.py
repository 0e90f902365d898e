"""An object shown to a model, so that similar ones are found on other images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..prompts import cut_off

Box = tuple[float, float, float, float]
"""Row, col, row, col of two opposite corners, in pixels of the image."""

Appearance = Mapping[str, NDArray[np.float32]]
"""What a model keeps of an object that was shown to it; named arrays that it alone can read."""

MARGIN = 0.5
"""How much of its surroundings is on the picture of an object, relative to its longer side."""
LARGEST_PICTURE = 256
"""Longest side of a picture, in pixels; a larger one is thinned out."""


@dataclass(frozen=True, slots=True, eq=False)
class Exemplar:
    """One object that is meant, or one that is not, as a model saw it."""

    appearance: Appearance
    model: str  # name of what saw it
    revision: str  # of that model; no other one can read the appearance
    picture: NDArray[np.uint8]  # (h, w, 3) of the object and its surroundings, as the user saw it
    box: Box  # around the object, in pixels of the picture
    is_positive: bool = True  # whether such objects are meant; those that are not are left out

    def negated(self) -> Self:
        """Return the same object as one that is not meant."""
        return replace(self, is_positive=False)

    def check(self, model: str, revision: str) -> None:
        """Refuse to be shown to another model than the one that saw it."""
        if weights_of(self.revision) != weights_of(revision):
            raise ModelError(
                f"The exemplar was drawn with the model {self.model}, which {model} cannot read: "
                "draw it again, or load that model."
            )


def clipped(box: Box, shape: tuple[int, int]) -> Box:
    """Cut a box off where an image (H, W) ends."""
    row0, col0, row1, col1 = cut_off(box, shape).tolist()
    return row0, col0, row1, col1


def weights_of(revision: str) -> str:
    """Name the weights of a model, in whatever numbers it calculates with them."""
    return revision.removesuffix("-bfloat16").removesuffix("-float32")


def pictured(image: NDArray[np.float32], box: Box) -> tuple[NDArray[np.uint8], Box]:
    """Cut the surroundings of a box out of an image, (H, W, 3) in 0..1.

    Returns
    -------
    picture : (h, w, 3) uint8
    box : Box
        The box in pixels of the picture.
    """
    corners = np.sort(np.reshape(box, (2, 2)), axis=0)
    margin = MARGIN * float((corners[1] - corners[0]).max())
    first = np.clip(np.floor(corners[0] - margin), 0, np.array(image.shape[:2]) - 1).astype(int)
    last = np.clip(np.ceil(corners[1] + margin) + 1, first + 1, image.shape[:2]).astype(int)
    step = -(-int((last - first).max()) // LARGEST_PICTURE)
    seen = image[first[0] : last[0] : step, first[1] : last[1] : step]
    row0, col0, row1, col1 = ((corners - first) / step).ravel().tolist()
    return (np.clip(seen, 0, 1) * 255).round().astype(np.uint8), (row0, col0, row1, col1)

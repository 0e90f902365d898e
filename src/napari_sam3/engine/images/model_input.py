"""What a model encodes: one frame, or a window of it, with the contrast of its stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .contrast import Contrast
from .frames import Frames, Window


class EmbeddingKey(NamedTuple):
    """All that an embedding depends on."""

    frames: str  # token of the frames
    frame: int
    contrast: str  # token of the contrast
    revision: str  # of the model
    window: Window | None = None  # the part of the frame; None for all of it


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """One frame, or a window of it, with the contrast of its stack."""

    frames: Frames
    contrast: Contrast
    frame: int
    window: Window | None = None  # the part that is encoded; None for all of it

    def read(self) -> NDArray[Any]:
        """Read what is stored, (H, W, C), in the type it is stored in."""
        if self.window is None:
            return self.frames.read(self.frame)
        return self.frames.read_window(self.frame, self.window)

    def draw(self) -> NDArray[np.float32]:
        """Read the frame and return the image that is encoded, (H, W, 3) in 0..1."""
        return self.contrast.compose(self.read())

    def key(self, revision: str) -> EmbeddingKey:
        """Return the key of its embedding by a model of this revision."""
        return EmbeddingKey(
            self.frames.token, self.frame, self.contrast.token, revision, self.window
        )

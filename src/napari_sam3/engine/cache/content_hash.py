"""The content hash that names an embedding on disk: equal only if all it depends on is equal."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.frames import Frames, Window

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class ContentHash:
    """All that an embedding depends on, whatever the file is called that its image came from."""

    revision: str  # of the model
    contrast: str  # token of the contrast
    window: str  # the part of the frame, see `window_text`
    pixels: str  # digest of what is stored of that part, see `pixels_digest`

    @property
    def name(self) -> str:
        """A short name that changes with every field."""
        fields = "\n".join(astuple(self)).encode()
        return hashlib.blake2b(fields, digest_size=DIGEST_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class Origin:
    """Which frame an embedding was made of; a hint, since another stack may be as large."""

    shape: tuple[int, int, int, int]  # of the stack, (F, H, W, C)
    frame: int


def pixels_digest(pixels: NDArray[Any]) -> str:
    """Return a digest of the values, the dtype and the shape of pixels, (H, W, C)."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(f"{pixels.dtype.str} {pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels).view(np.uint8).data)
    return digest.hexdigest()


def first_frame_digest(frames: Frames) -> str:
    """Return a digest of the values of the first frame of a stack, whatever type stores them."""
    return pixels_digest(frames.first().astype(np.float64))


def window_text(window: Window | None) -> str:
    """Return the window of a frame as text; "whole" where there is none."""
    return "whole" if window is None else " ".join(map(str, astuple(window)))

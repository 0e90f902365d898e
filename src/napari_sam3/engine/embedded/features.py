"""What the parts of the embedded network hand to each other."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

CROP = 112
"""Side of the square a prompt is decoded in, in pixels of the encoded picture."""
FINE_STRIDE = 2
COARSE_STRIDE = 4
FINE_CHANNELS = 32
COARSE_CHANNELS = 64
PROMPT_MAPS = 7
READINGS = 3
MULTIPLE = 16
"""Height and width of an encoded picture are multiples of this."""


class Features(NamedTuple):
    """What the encoder sees in a batch of pictures."""

    fine: Tensor
    """(B, 32, H/2, W/2)"""
    coarse: Tensor
    """(B, 64, H/4, W/4)"""
    dense: Tensor
    """(B, 3, H/2, W/2) logits of foreground, centre distance and boundary."""


class Memory(NamedTuple):
    """The object on the previous frame, cropped at the place where it is sought now."""

    coarse: Tensor
    """(N, 64, 28, 28) coarse features of the previous frame; zeros where there is none."""
    mask: Tensor
    """(N, 1, 28, 28) share of each cell that the object covered; zeros where there is none."""


class Decoded(NamedTuple):
    """What the decoder answers to a batch of prompts."""

    logits: Tensor
    """(N, 3, 56, 56) three readings of each prompt; positive inside the mask."""
    scores: Tensor
    """(N, 3) expected intersection over union of each reading."""
    presence: Tensor
    """(N,) logit of the object being on this frame at all."""

"""What an image encoder of the SAM family says about one image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """What the prompt decoder and the tracker see of one image.

    ``g`` is the side of the coarse map; the encoder divides the image into g x g patches.
    """

    fine: Tensor  # (1, 32, 4g, 4g), projected for the mask decoder
    middle: Tensor  # (1, 64, 2g, 2g), projected for the mask decoder
    coarse: Tensor  # (1, 256, g, g), without the embedding that stands for no memory
    position: Tensor  # (1, 256, g, g) position encoding of the coarse map, the same for all images
    shape: tuple[int, int]  # (H, W) of the image

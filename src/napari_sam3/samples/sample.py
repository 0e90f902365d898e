"""A made image beside the labels it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A stack of frames and what is truly on them."""

    image: NDArray[np.uint16]  # (F, H, W), camera counts
    labels: NDArray[np.uint16]  # (F, H, W), 0 is background, an object keeps its value

"""Many new objects of a frame, written into one plane of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engine import PixelBox
from .hand_edits import LabelPlane


@dataclass(frozen=True, slots=True, eq=False)
class BoxedMask:
    """The pixels of an object in a box of its frame."""

    box: PixelBox
    mask: NDArray[np.bool_]  # (h, w), in the box


def filled(
    plane: LabelPlane, box: PixelBox, masks: Mapping[int, BoxedMask], keeps_committed: bool
) -> LabelPlane:
    """Write masks, by their labels, into the plane of a box that holds them all."""
    shown, model = plane.shown.copy(), plane.model.copy()
    for value, one in masks.items():
        top, left, bottom, right = one.box
        part = slice(top - box[0], bottom - box[0]), slice(left - box[1], right - box[1])
        before = LabelPlane(shown[part], model[part])
        allowed = before.free(value) if keeps_committed else np.ones_like(one.mask)
        after = before.written(value, one.mask, allowed)
        shown[part], model[part] = after.shown, after.model
    return LabelPlane(shown, model)

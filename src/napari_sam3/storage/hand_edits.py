"""What a user changed by hand in labels that the model wrote, and how both live together.

Beside the labels that are shown, a second plane keeps what the model wrote. Where the two differ,
the user has been at work: a pixel that only the shown labels have was added by hand, one that only
the model's have was erased by hand. Neither is undone by what the model writes later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..values import Box, Mask

PlaneLabels = NDArray[np.uint16]
Pixels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LabelPlane:
    """One frame of labels, with 0 where there is no object."""

    shown: PlaneLabels  # (H, W) as the user sees them
    model: PlaneLabels  # (H, W) as the model wrote them

    def mask(self, value: int) -> Pixels:
        """Return the pixels (H, W) that show a label."""
        return self.shown == value

    def added(self, value: int) -> Pixels:
        """Return the pixels (H, W) that the user gave this label."""
        return (self.shown == value) & (self.model != value)

    def erased(self, value: int) -> Pixels:
        """Return the pixels (H, W) that the user took from this label."""
        return (self.model == value) & (self.shown != value)

    def is_edited(self, value: int) -> bool:
        """Whether the user changed this label by hand."""
        return bool(((self.model == value) != (self.shown == value)).any())

    def edited(self) -> list[int]:
        """Return the labels that the user changed by hand."""
        differs = self.shown != self.model
        values = np.union1d(self.shown[differs], self.model[differs])
        return [int(value) for value in values if value]

    def free(self, value: int) -> Pixels:
        """Return the pixels (H, W) that this label may take without taking them from another."""
        return (self.shown == 0) | (self.shown == value)

    def written(self, value: int, mask: Pixels, allowed: Pixels) -> Self:
        """Let the model give a label to the pixels of a mask, (H, W), where it is allowed to.

        The model's earlier pixels of this label go; what the user added or erased stays so.
        """
        added, erased = self.added(value), self.erased(value)
        wanted = mask & allowed
        return type(self)(
            _replaced(self.shown, value, (wanted & ~erased) | added),
            _replaced(self.model, value, (wanted & ~added) | erased),
        )

    def without(self, *values: int) -> Self:
        """Remove labels with all that was done to them."""
        shown, model = (np.where(np.isin(one, values), 0, one) for one in (self.shown, self.model))
        return type(self)(shown.astype(np.uint16), model.astype(np.uint16))

    def joined(self, other: LabelPlane, value: int) -> Self:
        """Take over a label from another plane, as it is there, where this one has none."""
        shown = np.where((self.shown == 0) & other.mask(value), other.shown, self.shown)
        free = (self.model == 0) & ((shown == 0) | (shown == value))
        model = np.where(free & (other.model == value), other.model, self.model)
        return type(self)(shown, model)


def _replaced(labels: PlaneLabels, value: int, mask: Pixels) -> PlaneLabels:
    """Return labels, (H, W), in which exactly the pixels of the mask have this value."""
    replaced = np.where(labels == value, 0, labels).astype(labels.dtype)
    replaced[mask] = value
    return replaced


def filled(
    plane: LabelPlane, box: Box, masks: Mapping[int, Mask], keeps_committed: bool
) -> LabelPlane:
    """Write masks, by their labels, into the plane of a box that holds them all."""
    shown, model = plane.shown.copy(), plane.model.copy()
    for value, mask in masks.items():
        part = mask.box.shifted(-box.top, -box.left).slices
        before = LabelPlane(shown[part], model[part])
        allowed = before.free(value) if keeps_committed else np.ones_like(mask.crop)
        after = before.written(value, mask.crop, allowed)
        shown[part], model[part] = after.shown, after.model
    return LabelPlane(shown, model)

"""What was changed by hand in labels that the model wrote, and how both are kept.

Beside the labels that are shown, a second plane keeps what the model wrote. Where the two differ,
somebody has painted: a pixel that only the shown labels have was added by hand, one that only the
model's have was erased by hand. Neither is undone by what the model writes later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..values import Box, Mask
from .label_pyramid import Labels

Pixels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LabelPlane:
    """Labels in a box of a frame, with 0 where there is no object."""

    shown: Labels  # (h, w) as they are displayed
    model: Labels  # (h, w) as the model wrote them

    def mask(self, value: int) -> Pixels:
        """Return the pixels (h, w) that show a label."""
        return np.asarray(self.shown == value)

    def added(self, value: int) -> Pixels:
        """Return the pixels (h, w) that were given this label by hand."""
        return np.asarray((self.shown == value) & (self.model != value))

    def erased(self, value: int) -> Pixels:
        """Return the pixels (h, w) from which this label was erased by hand."""
        return np.asarray((self.model == value) & (self.shown != value))

    def is_edited(self, value: int) -> bool:
        """Whether this label was changed by hand."""
        return bool(((self.model == value) != (self.shown == value)).any())

    def edited(self) -> list[int]:
        """Return the labels that were changed by hand."""
        differs = self.shown != self.model
        values = np.union1d(self.shown[differs], self.model[differs])
        return [int(value) for value in values if value]

    def free(self, value: int) -> Pixels:
        """Return the pixels (h, w) that this label may have without taking any from another."""
        return np.asarray((self.shown == 0) | (self.shown == value))

    def written(self, value: int, mask: Pixels, allowed: Pixels) -> Self:
        """Let the model give a label to the pixels of a mask, (h, w), where it is allowed to.

        The model's earlier pixels of this label go; what was added or erased by hand stays so.
        """
        wanted = mask & allowed
        if self.shown is self.model:  # nothing was edited
            labels = _replaced(self.shown, value, wanted)
            return type(self)(labels, labels)
        added, erased = self.added(value), self.erased(value)
        return type(self)(
            _replaced(self.shown, value, (wanted & ~erased) | added),
            _replaced(self.model, value, (wanted & ~added) | erased),
        )

    def without(self, *values: int) -> Self:
        """Remove labels with all that was done to them."""
        shown, model = (
            np.where(np.isin(labels, values), 0, labels).astype(labels.dtype)
            for labels in (self.shown, self.model)
        )
        return type(self)(shown, model)

    def joined(self, plane: LabelPlane, value: int) -> Self:
        """Copy a label from another plane, as it is there, where this plane has none."""
        shown = np.where((self.shown == 0) & plane.mask(value), plane.shown, self.shown)
        free = (self.model == 0) & ((shown == 0) | (shown == value))
        model = np.where(free & (plane.model == value), plane.model, self.model)
        return type(self)(shown, model)


def _replaced(labels: Labels, value: int, mask: Pixels) -> Labels:
    """Return labels, (h, w), in which exactly the pixels of the mask have this value."""
    replaced = labels * (labels != value)
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

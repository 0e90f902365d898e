"""Labels layers and the arrays on disk that they show, in one of two layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from ..engine import PixelBox, StorageError
from .axes import Place, data_shape, geometry
from .hand_edits import LabelPlane
from .label_store import LabelStore, StoredLabels
from .regions import whole

Layout = Literal["layer per object", "one layer"]
Color = tuple[float, float, float, float]
"""Red, green, blue and opacity, each 0..1."""

_OPACITY = 0.5  # the image is still seen under a mask
_SHARED = 0  # key of the sheet that all objects are on
_UNKNOWN: Color = (0.5, 0.5, 0.5, 1.0)  # painted with a label that is no object's
_WHITE: Color = (1.0, 1.0, 1.0, 1.0)
_NOT_PAINTED = "napari does not paint on an image this large: correct its masks with prompts"


@dataclass(frozen=True, slots=True)
class Look:
    """How an object is named and coloured."""

    name: str
    color: Color


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A Labels layer and the array it shows."""

    name: str  # in the store
    array: StoredLabels
    layer: Labels

    def write(self, place: Place, plane: LabelPlane, box: PixelBox) -> None:
        """Write the pixels in a box of a frame; what is in view is drawn again."""
        self.array.write(place, plane, box)
        in_view = self.layer._get_pt_not_disp()
        if all(place[axis] == index for axis, index in in_view.items() if axis < len(place)):
            if self.layer.multiscale:
                self.layer._reset_thumbnail_level_data()  # else napari shows it as it was
            self.layer.refresh(extent=False)

    def wipe(self, object_ids: Sequence[int]) -> None:
        """Delete objects from all frames; others stay."""
        for place in self.array.places():
            for box in {self.array.box(place, object_id) for object_id in object_ids}:
                if box is not None:
                    self.write(place, self.array.read(place, box).without(*object_ids), box)


class LabelSheets:
    """The sheets of an image in one layout, made when they are first written on.

    Parameters
    ----------
    image : Image
        The layer that the sheets lie on.
    store : LabelStore
        Where their arrays are.
    layout : str
        Whether every object has a sheet of its own, or all share one.
    looks : mapping
        How the objects look, by id.
    """

    def __init__(
        self, image: Image, store: LabelStore, layout: Layout, looks: Mapping[int, Look]
    ) -> None:
        self.layout: Layout = layout
        self._image = image
        self._store = store
        self._looks = looks
        self._by_key: dict[int, Sheet] = {}

    def all(self) -> list[Sheet]:
        """Return all sheets in the order they were made."""
        return list(self._by_key.values())

    def of(self, object_id: int) -> Sheet | None:
        """Return the sheet an object is on, or None before it is made."""
        return self._by_key.get(self._key(object_id))

    def edited(self, object_ids: Set[int]) -> set[tuple[Place, int]]:
        """Return which of these objects the user changed by hand, each with the place."""
        box = whole(data_shape(self._image))  # frames that napari paints on are read whole
        return {
            (place, value)
            for sheet in {self.of(object_id) for object_id in object_ids}
            if sheet is not None
            for place in sheet.array.places_that_differ()
            for value in sheet.array.read(place, box).edited()
            if value in object_ids and self.of(value) is sheet
        }

    def make(self, object_id: int) -> Sheet:
        """Make the sheet for an object."""
        key = self._key(object_id)
        name = self._store.free_name("objects" if key == _SHARED else f"object-{object_id}")
        array = self._store.create(name, data_shape(self._image))
        sheet = Sheet(name, array, self._layer(array.layer_data, object_id))
        self._by_key[key] = sheet
        return sheet

    def delete(self, sheet: Sheet) -> None:
        """Delete one of the sheets."""
        self.let_go(sheet)
        self._store.delete(sheet.name)

    def let_go(self, sheet: Sheet) -> None:
        """Forget one of the sheets, whose array stays on disk."""
        self._by_key = {key: one for key, one in self._by_key.items() if one is not sheet}

    def delete_all(self) -> None:
        """Delete all sheets."""
        for sheet in self.all():
            self.delete(sheet)

    def restyle(self, object_id: int) -> None:
        """Show the object as it looks now, if it is shown."""
        sheet = self.of(object_id)
        if sheet is None:
            return
        sheet.layer.colormap = self._colormap(object_id)
        if self.layout == "layer per object":
            sheet.layer.name = self._look(object_id).name

    def copy_from(self, others: LabelSheets) -> int:
        """Copy all labels of other sheets; on failure nothing is left of the copy.

        Returns
        -------
        int
            How many pixels had no room beside those of other objects.
        """
        lost = 0
        try:
            for sheet in others.all():
                for place in sheet.array.places():
                    for value, box, plane in sheet.array.parts(place):
                        lost += self._copy(value, place, box, plane)
        except StorageError:
            self.delete_all()
            raise
        return lost

    def _copy(self, value: int, place: Place, box: PixelBox, plane: LabelPlane) -> int:
        sheet = self.of(value) or self.make(value)
        after = sheet.array.read(place, box).joined(plane, value)
        sheet.write(place, after, box)
        return int(np.count_nonzero(plane.mask(value) & ~after.mask(value)))

    def _key(self, object_id: int) -> int:
        return _SHARED if self.layout == "one layer" else object_id

    def _look(self, object_id: int) -> Look:
        return self._looks.get(object_id, Look(f"object {object_id}", _WHITE))

    def _layer(self, data: Any, object_id: int) -> Labels:
        is_own = self.layout == "layer per object"
        layer = Labels(
            data,
            name=self._look(object_id).name if is_own else f"{self._image.name} objects",
            colormap=self._colormap(object_id),
            multiscale=isinstance(data, list),
            opacity=_OPACITY,
            **geometry(self._image),
        )
        layer.selected_label = object_id
        if layer.multiscale:
            layer.metadata["painting"] = _NOT_PAINTED
        return layer

    def _colormap(self, object_id: int) -> DirectLabelColormap:
        looks = {object_id: self._look(object_id)}
        if self.layout == "one layer":
            looks |= self._looks
        colors: dict[int | None, Color | NDArray[np.float64]] = {None: _UNKNOWN, 0: np.zeros(4)}
        colors.update((one, look.color) for one, look in looks.items())
        return DirectLabelColormap(color_dict=colors)


def compile_colors() -> None:
    """Let napari compile how it colours labels, which takes a second, before the first mask."""
    colormap = DirectLabelColormap(color_dict={None: np.zeros(4), 1: np.ones(4)})
    colormap.map(np.zeros((1, 1), np.uint16))

"""The Labels layers that hold the results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from psygnal import Signal
from zarr.storage import LocalStore

from ..engine import cache_folder
from ..storage import (
    SHARED_LABELS,
    LabelPlane,
    LabelStore,
    LazyStack,
    SessionFolder,
    StoredLabels,
    filled,
    name_of_object,
)
from ..values import Box, FrameIndex, Key, Mask, StorageError
from .axes import data_shape, geometry

Layout = Literal["layer per object", "one layer"]
Color = tuple[float, float, float, float]
"""Red, green, blue and opacity, each 0..1."""

_OPACITY = 0.5  # the image is still seen under a mask
_SHARED = 0  # key of the sheet that all objects are on
_UNKNOWN: Color = (0.5, 0.5, 0.5, 1.0)  # painted with a label that is no object's
_WHITE: Color = (1.0, 1.0, 1.0, 1.0)
_NOT_PAINTED = "napari does not paint on an image this large: correct its masks with prompts"


@dataclass(frozen=True, slots=True)
class ObjectStyle:
    """How an object is named and coloured."""

    name: str
    color: Color


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A Labels layer and the array it shows."""

    name: str  # in the store
    array: StoredLabels
    layer: Labels

    def write(self, frame_index: FrameIndex, plane: LabelPlane, box: Box) -> None:
        """Write the pixels in a box of a frame; what is in view is drawn again."""
        self.array.write(frame_index, plane, box)
        self._redraw(frame_index)

    def write_mask(self, key: Key[FrameIndex], mask: Mask, keeps_committed: bool) -> None:
        """Write what the model says an object is on a frame; what is in view is drawn again."""
        self.array.write_mask(key, mask, keeps_committed)
        self._redraw(key[0])

    def _redraw(self, frame_index: FrameIndex) -> None:
        in_view = self.layer._get_pt_not_disp()
        if all(
            frame_index[axis] == index for axis, index in in_view.items() if axis < len(frame_index)
        ):
            if self.layer.multiscale:
                self.layer._reset_thumbnail_level_data()  # else napari shows it as it was
            self.layer.refresh(extent=False)

    def wipe(self, object_ids: Sequence[int]) -> None:
        """Delete some objects from all frames."""
        for frame_index in self.array.frame_indices():
            for box in {self.array.box(frame_index, object_id) for object_id in object_ids}:
                if box is not None:
                    self.write(
                        frame_index, self.array.read(frame_index, box).without(*object_ids), box
                    )


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
    styles : mapping
        Names and colours of the objects, by id.
    """

    def __init__(
        self, image: Image, store: LabelStore, layout: Layout, styles: Mapping[int, ObjectStyle]
    ) -> None:
        self.layout: Layout = layout
        self._image = image
        self._store = store
        self._styles = styles
        self._by_key: dict[int, Sheet] = {}

    def all(self) -> list[Sheet]:
        """Return all sheets in the order they were made."""
        return list(self._by_key.values())

    def of(self, object_id: int) -> Sheet | None:
        """Return the sheet an object is on, or None before it is made."""
        return self._by_key.get(self._key(object_id))

    def edited(self, object_ids: Set[int]) -> set[tuple[FrameIndex, int]]:
        """Return which of these objects were changed by hand, each with its frame."""
        box = Box.whole(data_shape(self._image))  # frames that napari paints on are read whole
        return {
            (frame_index, value)
            for sheet in {self.of(object_id) for object_id in object_ids}
            if sheet is not None
            for frame_index in sheet.array.edited_frames()
            for value in sheet.array.read(frame_index, box).edited()
            if value in object_ids and self.of(value) is sheet
        }

    def make(self, object_id: int) -> Sheet:
        """Make the sheet for an object."""
        key = self._key(object_id)
        name = self._store.free_name(SHARED_LABELS if key == _SHARED else name_of_object(object_id))
        array = self._store.create(name, data_shape(self._image))
        sheet = Sheet(name, array, self._layer(array.layer_data, object_id))
        self._by_key[key] = sheet
        return sheet

    def delete(self, sheet: Sheet) -> None:
        """Delete a sheet."""
        self.let_go(sheet)
        self._store.delete(sheet.name)

    def let_go(self, sheet: Sheet) -> None:
        """Forget a sheet, whose array stays on disk."""
        self._by_key = {key: kept for key, kept in self._by_key.items() if kept is not sheet}

    def delete_all(self) -> None:
        """Delete all sheets."""
        for sheet in self.all():
            self.delete(sheet)

    def restyle(self, object_id: int) -> None:
        """Show an object in its style, if it is shown."""
        sheet = self.of(object_id)
        if sheet is None:
            return
        sheet.layer.colormap = self._colormap(object_id)
        if self.layout == "layer per object":
            sheet.layer.name = self._style(object_id).name

    def copy_from(self, sheets: LabelSheets) -> int:
        """Copy all labels of sheets in another layout; on failure nothing is left of the copy.

        Returns
        -------
        int
            How many pixels were lost, as another object has them already.
        """
        lost = 0
        try:
            for sheet in sheets.all():
                for frame_index in sheet.array.frame_indices():
                    for value, box, plane in sheet.array.parts(frame_index):
                        lost += self._copy(value, frame_index, box, plane)
        except StorageError:
            self.delete_all()
            raise
        return lost

    def _copy(self, value: int, frame_index: FrameIndex, box: Box, plane: LabelPlane) -> int:
        sheet = self.of(value) or self.make(value)
        after = sheet.array.read(frame_index, box).joined(plane, value)
        sheet.write(frame_index, after, box)
        return int(np.count_nonzero(plane.mask(value) & ~after.mask(value)))

    def _key(self, object_id: int) -> int:
        return _SHARED if self.layout == "one layer" else object_id

    def _style(self, object_id: int) -> ObjectStyle:
        return self._styles.get(object_id, ObjectStyle(f"object {object_id}", _WHITE))

    def _layer(self, data: Any, object_id: int) -> Labels:
        is_own = self.layout == "layer per object"
        layer = Labels(
            data,
            name=self._style(object_id).name if is_own else f"{self._image.name} objects",
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
        styles = {object_id: self._style(object_id)}
        if self.layout == "one layer":
            styles |= self._styles
        colors: dict[int | None, Color | NDArray[np.float64]] = {None: _UNKNOWN, 0: np.zeros(4)}
        colors.update((label, style.color) for label, style in styles.items())
        return DirectLabelColormap(color_dict=colors)


def compile_colors() -> None:
    """Let napari compile how it colours labels, which takes a second, before the first mask."""
    colormap = DirectLabelColormap(color_dict={None: np.zeros(4), 1: np.ones(4)})
    colormap.map(np.zeros((1, 1), np.uint16))


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What is shown of an object where the mouse points."""

    object_id: int
    name: str
    score: float  # 0..1
    area: int  # pixels


class ResultLayers:
    """The masks of all objects on all frames of an image, as Labels layers over a session folder.

    A label is the id of its object. Nothing is written to the folder before the first mask.

    Parameters
    ----------
    image : Image
        The layer that the results lie on.
    folder : SessionFolder
        Where they are kept.
    layout : str
        Whether every object has a layer of its own, so that objects can overlap, or all share one.

    Attributes
    ----------
    keeps_committed : bool
        Whether an object that shares a layer leaves the pixels of others alone.
    """

    added = Signal(object)  # a Labels layer, to be shown
    removed = Signal(object)  # a Labels layer, no longer to be shown

    def __init__(
        self, image: Image, folder: SessionFolder, layout: Layout = "layer per object"
    ) -> None:
        self.image = image
        self.folder = folder
        self.keeps_committed = True
        self._are_many_described = False
        self._store = folder.labels
        self._styles: dict[int, ObjectStyle] = {}
        self._sheets = LabelSheets(image, self._store, layout, self._styles)

    @property
    def layout(self) -> Layout:
        """How objects are distributed over layers; see `change_layout`."""
        return self._sheets.layout

    def layers(self) -> list[Labels]:
        """Return all layers that were added and not removed."""
        return [sheet.layer for sheet in self._sheets.all()]

    def layer_of(self, object_id: int) -> Labels | None:
        """Return the layer an object is on, or None before it is made."""
        sheet = self._sheets.of(object_id)
        return None if sheet is None else sheet.layer

    def describe(self, object_id: int, name: str, color: Color) -> None:
        """Name and colour an object."""
        self._styles[object_id] = ObjectStyle(name, color)
        if not self._are_many_described:
            self._sheets.restyle(object_id)

    @contextmanager
    def many_described(self) -> Iterator[None]:
        """Colour a shared layer once, and not for every object that is described inside."""
        self._are_many_described = True
        try:
            yield
        finally:
            self._are_many_described = False
        if self.layout == "one layer" and self._styles:
            self._sheets.restyle(next(iter(self._styles)))

    def write(
        self,
        frame_index: FrameIndex,
        object_id: int,
        mask: Mask,
    ) -> None:
        """Write the mask that the model predicted of an object on a frame; hand edits stay.

        Parameters
        ----------
        frame_index : tuple of int
            Index along every axis before rows and columns.
        object_id : int
            Whose mask it is, 1 to 65535.
        mask : Mask
            Its pixels on the frame.

        Raises
        ------
        StorageError
            If it cannot be stored; nothing has changed then.
        """
        sheet = self._sheets.of(object_id)
        if sheet is not None:
            sheet.write_mask((frame_index, object_id), mask, self.keeps_committed)
        elif mask.area:
            self._write_first((frame_index, object_id), mask)

    def write_new(self, frame_index: FrameIndex, masks: Mapping[int, Mask]) -> None:
        """Write objects that have no mask yet, all at once where they share a layer.

        Raises
        ------
        StorageError
            If they cannot be stored; of those that share a layer, none is then.
        """
        for object_id, mask in masks.items():
            self.write(frame_index, object_id, mask)
            sheet = self._sheets.of(object_id)
            if sheet is not None and self.layout == "one layer" and not sheet.layer.multiscale:
                self._write_all(sheet, frame_index, masks)
                return

    def erase(self, frame_index: FrameIndex, object_id: int) -> None:
        """Take back what the model wrote of an object on a frame; hand edits stay."""
        sheet = self._sheets.of(object_id)
        box = None if sheet is None else sheet.array.box(frame_index, object_id)
        if box is not None:
            nothing = np.zeros(box.shape, bool)
            self.write(frame_index, object_id, Mask(nothing, box, self._plane))

    def mask(self, frame_index: FrameIndex, object_id: int) -> Mask:
        """Return the pixels of an object on a frame, as they are shown."""
        sheet = self._sheets.of(object_id)
        box = None if sheet is None else sheet.array.box(frame_index, object_id)
        if sheet is None or box is None:
            return Mask.absent(self._plane, object_id=object_id)
        return Mask(sheet.array.read(frame_index, box).mask(object_id), box, self._plane)

    @property
    def _plane(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return Box.whole(data_shape(self.image)).shape

    def is_edited(self, frame_index: FrameIndex, object_id: int) -> bool:
        """Whether the user changed an object on a frame by hand."""
        sheet = self._sheets.of(object_id)
        box = None if sheet is None else sheet.array.box(frame_index, object_id)
        if sheet is None or box is None:
            return False
        return sheet.array.read(frame_index, box).is_edited(object_id)

    def edited(self, object_ids: Set[int]) -> set[tuple[FrameIndex, int]]:
        """Return which of these objects were changed by hand, each with its frame."""
        return self._sheets.edited(object_ids)

    def remove_objects(self, object_ids: Iterable[int]) -> None:
        """Delete objects from all frames, with what was painted of them."""
        gone = list(object_ids)
        for sheet in dict.fromkeys(map(self._sheets.of, gone)):
            if sheet is not None and self.layout == "layer per object":
                self.removed.emit(sheet.layer)
                self._sheets.delete(sheet)
            elif sheet is not None:
                sheet.wipe(gone)
        for object_id in gone:
            self._styles.pop(object_id, None)

    def let_go(self, layer: Labels) -> None:
        """Forget a layer that was taken from the viewer; what is on it stays on disk."""
        for sheet in self._sheets.all():
            if sheet.layer is layer:
                self._sheets.let_go(sheet)

    def show_scores(self, rows: Iterable[ScoreRow]) -> None:
        """Show scores and areas of the objects of this frame where the mouse points."""
        all_rows = list(rows)
        for sheet in self._sheets.all():
            here = [row for row in all_rows if self._sheets.of(row.object_id) is sheet]
            sheet.layer.features = _features(here)

    def change_layout(self, layout: Layout) -> int:
        """Move all masks to another layout; where objects overlap, the first keeps the pixels.

        Returns
        -------
        int
            How many pixels were lost by that.

        Raises
        ------
        StorageError
            If they cannot be stored twice for a moment; nothing has changed then.
        """
        if layout == self.layout:
            return 0
        before = self._sheets
        moved = LabelSheets(self.image, self._store, layout, self._styles)
        lost = moved.copy_from(before)
        self._sheets = moved
        for sheet in before.all():
            self.removed.emit(sheet.layer)
        before.delete_all()
        for sheet in moved.all():
            self.added.emit(sheet.layer)
        return lost

    def _write_all(self, sheet: Sheet, frame_index: FrameIndex, masks: Mapping[int, Mask]) -> None:
        box = Box.whole(data_shape(self.image))
        plane = sheet.array.read(frame_index, box)
        try:
            sheet.write(frame_index, filled(plane, box, masks, self.keeps_committed), box)
        except StorageError:
            self.erase(frame_index, next(iter(masks)))
            raise

    def _write_first(self, key: Key[FrameIndex], mask: Mask) -> None:
        sheet = self._sheets.make(key[1])
        try:
            sheet.write_mask(key, mask, self.keeps_committed)
        except StorageError:
            self._sheets.delete(sheet)
            raise
        self.added.emit(sheet.layer)


def default_folder(image_name: str) -> Path:
    """Return a new session folder among the user's caches; it is not made yet."""
    name = re.sub(r"[^\w.-]+", "-", image_name).strip("-.")[:60] or "image"
    moment = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    return cache_folder() / "sessions" / f"{moment}-{name}.sam3"


def _features(rows: list[ScoreRow]) -> dict[str, list[Any]]:
    features: dict[str, list[Any]] = {"index": [], "name": [], "score": [], "area": []}
    for row in rows:
        features["index"].append(row.object_id)
        features["name"].append(row.name)
        features["score"].append(round(row.score, 3))
        features["area"].append(row.area)
    return features


def give_own_files(layer: Labels, store: LabelStore) -> None:
    """Let a layer that shows labels of a store show a copy of them.

    napari copies a layer, but not what lies on disk: what is painted or prompted on either of the
    two would be seen on both. A layer that shows no labels of the store stays as it is.

    Raises
    ------
    StorageError
        If they cannot be copied; the layer shows what it showed then.
    """
    sizes = list(layer.data) if layer.multiscale else [layer.data]
    arrays = [size.source if isinstance(size, LazyStack) else size for size in sizes]
    names = {_name(array, store.path) for array in arrays}
    if len(names) > 1 or None in names:
        return
    name = store.copy(str(names.pop()))
    copied: Any = zarr.open_group(store.path, mode="r+")[name]
    copies = [copied[Path(array.path).name] for array in arrays]
    layer.data = [LazyStack(copy) for copy in copies] if layer.multiscale else copies[0]


def _name(array: Any, folder: Path) -> str | None:
    """Return the name of the labels in a folder that an array belongs to, if it does."""
    if not isinstance(array, zarr.Array) or not isinstance(array.store, LocalStore):
        return None
    name = Path(array.path).parent.name
    return name if Path(array.store.root) == folder and name else None

"""The Labels layers that hold the results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from psygnal import Signal

from ..engine import PixelBox, StorageError, cache_folder
from .axes import Place, data_shape
from .label_sheets import Color, LabelSheets, Layout, Look, Sheet
from .label_store import LabelStore
from .many_masks import BoxedMask, filled
from .regions import are_apart, joined, placed, whole


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What is said of an object when the mouse is over it."""

    object_id: int
    name: str
    score: float  # 0..1
    area: int  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of a frame with the pixels of an object in it."""

    place: Place
    box: PixelBox
    mask: NDArray[np.bool_]  # (h, w), in the box


class ResultLayers:
    """The masks of all objects on all frames of an image, as Labels layers over a session folder.

    A label is the id of its object. Nothing is written to the folder before the first mask.

    Parameters
    ----------
    image : Image
        The layer that the results lie on.
    folder : Path
        The session folder.
    layout : str
        Whether every object has a layer of its own, so that objects can overlap, or all share one.

    Attributes
    ----------
    keeps_committed : bool
        Whether an object that shares a layer leaves the pixels of others alone.
    """

    added = Signal(object)  # a Labels layer, to be shown
    removed = Signal(object)  # a Labels layer, no longer to be shown

    def __init__(self, image: Image, folder: Path, layout: Layout = "layer per object") -> None:
        self.image = image
        self.folder = folder
        self.keeps_committed = True
        self._are_many_described = False
        self._store = LabelStore(folder)
        self._looks: dict[int, Look] = {}
        self._sheets = LabelSheets(image, self._store, layout, self._looks)

    @property
    def layout(self) -> Layout:
        """How objects are spread over layers; see `change_layout`."""
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
        self._looks[object_id] = Look(name, color)
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
        if self.layout == "one layer" and self._looks:
            self._sheets.restyle(next(iter(self._looks)))

    def write(
        self,
        place: Place,
        object_id: int,
        mask: NDArray[np.bool_],
        box: PixelBox | None = None,
    ) -> None:
        """Write what the model says an object is on the frame at a place; hand edits stay.

        Parameters
        ----------
        place : tuple of int
            Index along every axis before rows and columns.
        object_id : int
            Whose mask it is, 1 to 65535.
        mask : (h, w) array of bool
            Its pixels in the box.
        box : tuple of int, optional
            First row, first column, last row + 1, last column + 1 of the part of the frame that
            it lies in, by default the whole frame.

        Raises
        ------
        StorageError
            If it cannot be stored; nothing has changed then.
        """
        piece = Piece(place, whole(data_shape(self.image)) if box is None else box, mask)
        sheet = self._sheets.of(object_id)
        if sheet is not None:
            self._write_on(sheet, object_id, piece)
        elif mask.any():
            self._write_first(object_id, piece)

    def write_new(self, place: Place, masks: Mapping[int, BoxedMask]) -> None:
        """Write objects that are nowhere yet, all at once where they share a layer.

        Raises
        ------
        StorageError
            If they cannot be stored; of those that share a layer, none is then.
        """
        for object_id, one in masks.items():
            self.write(place, object_id, one.mask, one.box)
            sheet = self._sheets.of(object_id)
            if sheet is not None and self.layout == "one layer" and not sheet.layer.multiscale:
                self._write_all(sheet, place, masks)
                return

    def erase(self, place: Place, object_id: int) -> None:
        """Take back what the model wrote of an object on a frame; hand edits stay."""
        sheet = self._sheets.of(object_id)
        box = None if sheet is None else sheet.array.box(place, object_id)
        if box is not None:
            self.write(place, object_id, np.zeros((box[2] - box[0], box[3] - box[1]), bool), box)

    def mask(self, place: Place, object_id: int) -> NDArray[np.bool_]:
        """Return the pixels (H, W) of an object on a frame, as they are shown."""
        box, pixels = self.patch(place, object_id)
        return placed(pixels, box, whole(data_shape(self.image)))

    def patch(self, place: Place, object_id: int) -> tuple[PixelBox, NDArray[np.bool_]]:
        """Return a box that holds an object on a frame, and its pixels (h, w) in it as shown.

        The box is the whole frame unless frames are large.
        """
        sheet = self._sheets.of(object_id)
        box = None if sheet is None else sheet.array.box(place, object_id)
        if sheet is None or box is None:
            return (0, 0, 0, 0), np.zeros((0, 0), bool)
        return box, sheet.array.read(place, box).mask(object_id)

    def is_edited(self, place: Place, object_id: int) -> bool:
        """Whether the user changed an object on a frame by hand."""
        sheet = self._sheets.of(object_id)
        box = None if sheet is None else sheet.array.box(place, object_id)
        if sheet is None or box is None:
            return False
        return sheet.array.read(place, box).is_edited(object_id)

    def edited(self, object_ids: Set[int]) -> set[tuple[Place, int]]:
        """Return which of these objects the user changed by hand, each with the place."""
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
            self._looks.pop(object_id, None)

    def let_go(self, layer: Labels) -> None:
        """Forget a layer that was taken from the viewer; what is on it stays on disk."""
        for sheet in self._sheets.all():
            if sheet.layer is layer:
                self._sheets.let_go(sheet)

    def show_scores(self, rows: Iterable[ScoreRow]) -> None:
        """Say where the mouse points how good and how large the objects of this frame are."""
        said = list(rows)
        for sheet in self._sheets.all():
            here = [row for row in said if self._sheets.of(row.object_id) is sheet]
            sheet.layer.features = _features(here)

    def change_layout(self, layout: Layout) -> int:
        """Move all results to another layout; where objects overlap, the first keeps the pixels.

        Returns
        -------
        int
            How many pixels the others lost.

        Raises
        ------
        StorageError
            If they cannot be stored twice for a moment; nothing has changed then.
        """
        if layout == self.layout:
            return 0
        before = self._sheets
        moved = LabelSheets(self.image, self._store, layout, self._looks)
        lost = moved.copy_from(before)
        self._sheets = moved
        for sheet in before.all():
            self.removed.emit(sheet.layer)
        before.delete_all()
        for sheet in moved.all():
            self.added.emit(sheet.layer)
        return lost

    def _write_on(self, sheet: Sheet, object_id: int, piece: Piece) -> None:
        """Write on the box of a mask, and on the one where the object was before."""
        before = sheet.array.box(piece.place, object_id)
        if before is not None and are_apart(piece.box, before):
            self._move(sheet, object_id, piece, before)
        else:
            self._draw(sheet, object_id, piece, joined(piece.box, before))

    def _move(self, sheet: Sheet, object_id: int, piece: Piece, before: PixelBox) -> None:
        """Write a mask far from where the object was; what lies between is not touched."""
        plane = sheet.array.read(piece.place, before)
        sheet.write(piece.place, plane.without(object_id), before)
        try:
            self._draw(sheet, object_id, piece, piece.box)
        except StorageError:
            sheet.write(piece.place, plane, before)
            raise

    def _draw(self, sheet: Sheet, object_id: int, piece: Piece, box: PixelBox) -> None:
        plane = sheet.array.read(piece.place, box)
        mask = placed(piece.mask, piece.box, box)
        allowed = plane.free(object_id) if self.keeps_committed else np.ones_like(mask)
        sheet.write(piece.place, plane.written(object_id, mask, allowed), box)

    def _write_all(self, sheet: Sheet, place: Place, masks: Mapping[int, BoxedMask]) -> None:
        box = whole(data_shape(self.image))
        plane = sheet.array.read(place, box)
        try:
            sheet.write(place, filled(plane, box, masks, self.keeps_committed), box)
        except StorageError:
            self.erase(place, next(iter(masks)))
            raise

    def _write_first(self, object_id: int, piece: Piece) -> None:
        sheet = self._sheets.make(object_id)
        try:
            self._write_on(sheet, object_id, piece)
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
    return {
        "index": [row.object_id for row in rows],
        "name": [row.name for row in rows],
        "score": [round(row.score, 3) for row in rows],
        "area": [row.area for row in rows],
    }

"""The Labels layers that hold the results."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from platformdirs import user_cache_dir
from psygnal import Signal

from ..engine import StorageError
from .axes import Place, data_shape
from .hand_edits import LabelPlane
from .label_sheets import Color, LabelSheets, Layout, Look, Sheet
from .label_store import LabelStore


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What is said of an object when the mouse is over it."""

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
        self._sheets.restyle(object_id)

    def write(self, place: Place, object_id: int, mask: NDArray[np.bool_]) -> None:
        """Write what the model says an object is on the frame at a place; hand edits stay.

        Parameters
        ----------
        place : tuple of int
            Index along every axis before rows and columns.
        object_id : int
            Whose mask it is, 1 to 65535.
        mask : (H, W) array of bool
            Its pixels.

        Raises
        ------
        StorageError
            If it cannot be stored; nothing has changed then.
        """
        sheet = self._sheets.of(object_id)
        if sheet is not None:
            self._write_on(sheet, place, object_id, mask)
        elif mask.any():
            self._write_first(place, object_id, mask)

    def erase(self, place: Place, object_id: int) -> None:
        """Take back what the model wrote of an object on a frame; hand edits stay."""
        self.write(place, object_id, np.zeros(data_shape(self.image)[-2:], bool))

    def mask(self, place: Place, object_id: int) -> NDArray[np.bool_]:
        """Return the pixels (H, W) of an object on a frame, as they are shown."""
        return self._plane(place, object_id).mask(object_id)

    def is_edited(self, place: Place, object_id: int) -> bool:
        """Whether the user changed an object on a frame by hand."""
        return self._plane(place, object_id).is_edited(object_id)

    def edited_places(self, object_id: int) -> list[Place]:
        """Return the places of all frames where the user changed an object by hand."""
        sheet = self._sheets.of(object_id)
        places = [] if sheet is None else sheet.array.places_that_differ()
        return [place for place in places if self.is_edited(place, object_id)]

    def remove_object(self, object_id: int) -> None:
        """Delete an object from all frames, with what was painted of it."""
        sheet = self._sheets.of(object_id)
        if sheet is not None and self.layout == "layer per object":
            self.removed.emit(sheet.layer)
            self._sheets.delete(sheet)
        elif sheet is not None:
            for place in sheet.array.places():
                sheet.write(place, sheet.array.read(place).without(object_id))
        self._looks.pop(object_id, None)

    def show_scores(self, rows: Iterable[ScoreRow]) -> None:
        """Say where the mouse points how good and how large the objects of this frame are."""
        said = list(rows)
        for sheet in self._sheets.all():
            here = [row for row in said if self._sheets.of(row.object_id) is sheet]
            sheet.layer.features = _features(here)

    def change_layout(self, layout: Layout) -> None:
        """Move all results to another layout; where objects overlap, the first keeps the pixels.

        Raises
        ------
        StorageError
            If they cannot be stored twice for a moment; nothing has changed then.
        """
        if layout == self.layout:
            return
        before = self._sheets
        moved = LabelSheets(self.image, self._store, layout, self._looks)
        moved.copy_from(before)
        self._sheets = moved
        for sheet in before.all():
            self.removed.emit(sheet.layer)
        before.delete_all()
        for sheet in moved.all():
            self.added.emit(sheet.layer)

    def _write_on(
        self, sheet: Sheet, place: Place, object_id: int, mask: NDArray[np.bool_]
    ) -> None:
        plane = sheet.array.read(place)
        allowed = plane.free(object_id) if self.keeps_committed else np.ones_like(mask)
        sheet.write(place, plane.written(object_id, mask, allowed))

    def _write_first(self, place: Place, object_id: int, mask: NDArray[np.bool_]) -> None:
        sheet = self._sheets.make(object_id)
        try:
            self._write_on(sheet, place, object_id, mask)
        except StorageError:
            self._sheets.delete(sheet)
            raise
        self.added.emit(sheet.layer)

    def _plane(self, place: Place, object_id: int) -> LabelPlane:
        sheet = self._sheets.of(object_id)
        if sheet is not None:
            return sheet.array.read(place)
        nothing = np.zeros(data_shape(self.image)[-2:], np.uint16)
        return LabelPlane(nothing, nothing)


def default_folder(image_name: str) -> Path:
    """Return a new session folder in the user's cache directory; it is not made yet."""
    name = re.sub(r"[^\w.-]+", "-", image_name).strip("-.")[:60] or "image"
    moment = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    return Path(user_cache_dir("napari-sam3")) / "sessions" / f"{moment}-{name}.sam3"


def _features(rows: list[ScoreRow]) -> dict[str, list[Any]]:
    return {
        "index": [row.object_id for row in rows],
        "name": [row.name for row in rows],
        "score": [round(row.score, 3) for row in rows],
        "area": [row.area for row in rows],
    }

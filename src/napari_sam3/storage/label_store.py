"""Labels on disk: arrays of one chunk a frame, each beside an array of what the model wrote."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..values import (
    Box,
    FrameIndex,
    Geometry,
    Key,
    Mask,
    StorageError,
    default_axes,
    is_large,
)
from .disk import CHOOSE_FOLDER, new_folder, remove, shared_group, storing_in
from .hand_edits import LabelPlane
from .label_pyramid import (
    NARROW,
    OME_ZARR_VERSION,
    LabelPyramid,
    Labels,
    array_in,
    chunks_on_disk,
    describe,
    empty_labels,
)
from .lazy_stack import LazyStack

LABELS = "labels.zarr"
SHOWN, MODEL = "0", "model"
"""Names of the arrays of a group of labels: what is shown, and what the model wrote."""
SHARED_LABELS = "objects"
"""Name of the labels of all objects that share a layer."""
HIGHEST_ID = 2**32 - 1
"""The highest object id that labels hold."""


def name_of_object(object_id: int) -> str:
    """Return the name of the labels of an object that shares them with no other."""
    return f"object-{object_id}"


class StoredLabels(ABC):
    """The labels of a stack on disk: what is shown, and what the model wrote.

    Parameters
    ----------
    folder : Path
        The root of the store that the arrays are in.
    remedy : str
        What to do where they cannot be written.
    """

    def __init__(self, folder: Path, remedy: str = CHOOSE_FOLDER) -> None:
        self.folder = folder
        self._remedy = remedy

    @property
    @abstractmethod
    def layer_data(self) -> Any:
        """What a Labels layer shows: an array (..., H, W), or several sizes, the finest first."""

    @property
    @abstractmethod
    def finest(self) -> zarr.Array[Any]:
        """The array (..., H, W) of what is shown, in full size."""

    @abstractmethod
    def box(self, frame_index: FrameIndex, value: int) -> Box | None:
        """Return a box outside of which a label has no pixel; None where it has none at all."""

    @abstractmethod
    def read(self, frame_index: FrameIndex, box: Box) -> LabelPlane:
        """Read the pixels in a box of a frame."""

    @abstractmethod
    def _replace(
        self, frame_index: FrameIndex, before: LabelPlane, after: LabelPlane, box: Box
    ) -> None:
        """Write the pixels in a box, or leave them as they were and raise a `StorageError`."""

    @abstractmethod
    def frame_indices(self) -> list[FrameIndex]:
        """Return all frames that have labels, in order."""

    @abstractmethod
    def edited_frames(self) -> list[FrameIndex]:
        """Return the frames that were painted on by hand."""

    @abstractmethod
    def parts(self, frame_index: FrameIndex) -> Iterator[tuple[int, Box, LabelPlane]]:
        """Return every label of a frame, with a box that holds all of it and the pixels there."""

    def refresh(self, frame_index: FrameIndex) -> None:
        """Read anew from disk where labels are, since another process may have written them."""
        return

    def write(self, frame_index: FrameIndex, plane: LabelPlane, box: Box) -> None:
        """Replace the pixels in a box, or leave them as they were and raise a `StorageError`."""
        self._replace(frame_index, self.read(frame_index, box), plane, box)

    def write_mask(self, key: Key[FrameIndex], mask: Mask, keeps_committed: bool = True) -> None:
        """Write what the model says an object is on a frame; what was painted by hand stays.

        Parameters
        ----------
        key : tuple of frame index and int
            The frame, and the label of the object.
        mask : Mask
            Its pixels on the frame.
        keeps_committed : bool
            Whether pixels of other labels are left alone.

        Raises
        ------
        StorageError
            If it cannot be stored; nothing has changed then.
        """
        before = self.box(*key)
        if before is None:
            self._write_in(key, mask, mask.box, keeps_committed)
        elif before.contains(mask.box):
            self._write_in(key, mask, before, keeps_committed)
        elif mask.box.is_far_from(before):
            self._move(key, mask, before, keeps_committed)
        else:
            self._write_in(key, mask, mask.box.union(before), keeps_committed)

    def _move(self, key: Key[FrameIndex], mask: Mask, before: Box, keeps_committed: bool) -> None:
        """Write a mask far from where the object was; what lies between is not touched."""
        frame_index, value = key
        plane = self.read(frame_index, before)
        self._replace(frame_index, plane, plane.without(value), before)
        try:
            self._write_in(key, mask, mask.box, keeps_committed)
        except StorageError:
            self.write(frame_index, plane, before)
            raise

    def _write_in(self, key: Key[FrameIndex], mask: Mask, box: Box, keeps_committed: bool) -> None:
        """Write a mask into a box that holds it and the pixels that the object had before."""
        frame_index, value = key
        if box.is_empty:
            return
        plane, pixels = self.read(frame_index, box), mask.within(box)
        allowed = plane.free(value) if keeps_committed else np.ones_like(pixels)
        self._replace(frame_index, plane, plane.written(value, pixels, allowed), box)


class LabelArray(StoredLabels):
    """The labels of a stack, read and written one frame at a time.

    Parameters
    ----------
    folder : Path
        The root of the store that the arrays are in.
    arrays : two zarr.Array, (..., H, W)
        What a layer shows, and what the model wrote.
    remedy : str
        What to do where they cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        arrays: tuple[zarr.Array[Any], zarr.Array[Any]],
        remedy: str = CHOOSE_FOLDER,
    ) -> None:
        super().__init__(folder, remedy)
        self.shown, self.model = arrays

    @property
    def layer_data(self) -> zarr.Array[Any]:
        """What a layer shows, (..., H, W)."""
        return self.shown

    @property
    def finest(self) -> zarr.Array[Any]:
        """The array (..., H, W) of what is shown."""
        return self.shown

    def box(self, frame_index: FrameIndex, value: int) -> Box:
        """Return the box of the whole frame, in which a label may be anywhere."""
        return Box.whole(self.shown.shape)

    def read(self, frame_index: FrameIndex, box: Box | None = None) -> LabelPlane:
        """Read a frame as a whole, which is the only box there is."""
        stored = [self._stored(array, frame_index) for array in (self.shown, self.model)]
        if not any(stored):
            empty = np.zeros(self.shown.shape[-2:], self.shown.dtype)
            return LabelPlane(empty, empty)
        shown = _plane(self.shown, frame_index)
        is_edited = stored[0] != stored[1]
        return LabelPlane(shown, _plane(self.model, frame_index) if is_edited else shown)

    def write(self, frame_index: FrameIndex, plane: LabelPlane, box: Box | None = None) -> None:
        """Replace a frame, or leave it as it was and raise a `StorageError`."""
        super().write(frame_index, plane, box or Box.whole(self.shown.shape))

    def _replace(
        self, frame_index: FrameIndex, before: LabelPlane, after: LabelPlane, box: Box
    ) -> None:
        self._write_array(self.model, frame_index, before.model, after.model)
        try:
            self._write_array(self.shown, frame_index, before.shown, after.shown)
        except StorageError:
            self._write_array(self.model, frame_index, after.model, before.model)
            raise

    def frame_indices(self) -> list[FrameIndex]:
        """Return all frames that have labels, shown or of the model, in order."""
        arrays = (self.shown, self.model)
        return sorted({chunk[:-2] for array in arrays for chunk in self._chunks(array)})

    def edited_frames(self) -> list[FrameIndex]:
        """Return the frames where what is shown is stored otherwise than what the model wrote.

        The files are compared unread, which for a thousand frames takes a tenth of a second.
        """
        return [
            frame_index
            for frame_index in self.frame_indices()
            if self._stored(self.shown, frame_index) != self._stored(self.model, frame_index)
        ]

    def parts(self, frame_index: FrameIndex) -> Iterator[tuple[int, Box, LabelPlane]]:
        """Return every label of a frame, each with the whole frame."""
        plane, box = self.read(frame_index), Box.whole(self.shown.shape)
        for value in np.union1d(plane.shown, plane.model).tolist():
            if value:
                yield value, box, plane

    def _stored(self, array: zarr.Array[Any], frame_index: FrameIndex) -> bytes:
        chunk = self.folder.joinpath(array.path, "c", *map(str, frame_index), "0", "0")
        return chunk.read_bytes() if chunk.exists() else b""

    def _chunks(self, array: zarr.Array[Any]) -> Iterator[tuple[int, ...]]:
        return chunks_on_disk(self.folder, array)

    def _write_array(
        self, array: zarr.Array[Any], frame_index: FrameIndex, before: Labels, after: Labels
    ) -> None:
        if np.array_equal(before, after):
            return
        with storing_in(self.folder, self._remedy):
            array[_index(frame_index)] = after


class TiledLabels(StoredLabels):
    """The labels of a stack of large frames, in tiles.

    A layer shows them at several sizes, and on these napari does not paint. So what is shown is
    what the model wrote. Where each object lies is read from disk once for every frame.

    Parameters
    ----------
    folder : Path
        The root of the store that the arrays are in.
    pyramid : LabelPyramid
        The arrays.
    remedy : str
        What to do where they cannot be written.
    """

    def __init__(self, folder: Path, pyramid: LabelPyramid, remedy: str = CHOOSE_FOLDER) -> None:
        super().__init__(folder, remedy)
        self._pyramid = pyramid
        self._boxes: dict[FrameIndex, dict[int, Box]] = {}  # of each label, or larger

    @property
    def layer_data(self) -> list[LazyStack]:
        """What a layer shows: arrays (..., H, W), the finest first."""
        return [LazyStack(level) for level in self._pyramid.levels]

    @property
    def finest(self) -> zarr.Array[Any]:
        """The array (..., H, W) in full size."""
        return self._pyramid.levels[0]

    def box(self, frame_index: FrameIndex, value: int) -> Box | None:
        """Return a box outside of which a label has no pixel; None where it has none at all."""
        return self._boxes_on(frame_index).get(value)

    def read(self, frame_index: FrameIndex, box: Box) -> LabelPlane:
        """Read the pixels in a box of a frame."""
        labels = self._pyramid.read(frame_index, box)
        return LabelPlane(labels, labels)

    def _replace(
        self, frame_index: FrameIndex, before: LabelPlane, after: LabelPlane, box: Box
    ) -> None:
        if np.array_equal(before.shown, after.shown):
            return
        boxes = self._boxes_on(frame_index)
        try:
            self._write_pyramid(frame_index, box, after.shown)
        except StorageError:
            with suppress(StorageError):
                self._write_pyramid(frame_index, box, before.shown)
            raise
        _update_boxes(boxes, box, before.shown, after.shown)

    def frame_indices(self) -> list[FrameIndex]:
        """Return all frames that have labels, in order."""
        return sorted({chunk[:-2] for chunk in chunks_on_disk(self.folder, self.finest)})

    def edited_frames(self) -> list[FrameIndex]:
        """Return the frames that were painted on by hand: none."""
        return []

    def parts(self, frame_index: FrameIndex) -> Iterator[tuple[int, Box, LabelPlane]]:
        """Return every label of a frame, with a box that holds all of it and the pixels there."""
        for value, box in sorted(self._boxes_on(frame_index).items()):
            yield value, box, self.read(frame_index, box)

    def refresh(self, frame_index: FrameIndex) -> None:
        """Read anew from disk where labels are, since another process may have written them."""
        self._boxes.pop(frame_index, None)

    def _boxes_on(self, frame_index: FrameIndex) -> dict[int, Box]:
        boxes = self._boxes.get(frame_index)
        if boxes is None:
            boxes = self._boxes[frame_index] = self._boxes_on_disk(frame_index)
        return boxes

    def _boxes_on_disk(self, frame_index: FrameIndex) -> dict[int, Box]:
        boxes: dict[int, Box] = {}
        height, width = self.finest.chunks[-2:]
        whole = Box.whole(self.finest.shape)
        for *_, row, col in chunks_on_disk(self.folder, self.finest, frame_index):
            tile = Box(0, 0, height, width).shifted(row * height, col * width).intersection(whole)
            labels = self._pyramid.read(frame_index, tile)
            _update_boxes(boxes, tile, np.zeros_like(labels), labels)
        return boxes

    def _write_pyramid(self, frame_index: FrameIndex, box: Box, labels: Labels) -> None:
        with storing_in(self.folder, self._remedy):
            self._pyramid.write(frame_index, box, labels)


def _update_boxes(boxes: dict[int, Box], box: Box, before: Labels, after: Labels) -> None:
    """Record where the labels of a frame are, since those in a box were replaced."""
    for value in np.union1d(before[before > 0], after[after > 0]).tolist():
        earlier = boxes.pop(value, None)
        now = Box.around(after == value)
        now = now if now.is_empty else now.shifted(box.top, box.left)
        if earlier is not None and not box.contains(earlier):
            now = earlier.union(now)
        if not now.is_empty:
            boxes[value] = now


def _plane(array: zarr.Array[Any], frame_index: FrameIndex) -> Labels:
    return np.asarray(array[_index(frame_index)])


def _index(frame_index: FrameIndex) -> tuple[int | slice, ...]:
    return (*frame_index, slice(None), slice(None))


def _leave_empty(_: StoredLabels) -> None:
    return


class LabelStore:
    """The labels of a session, in ``labels.zarr`` of its folder, which is made when first needed.

    Each has a group, which is OME-Zarr: ``0`` is what is shown, ``model`` what the model wrote.
    Labels of large frames have several sizes, ``0``, ``1``, ..., and no ``model``, since nobody
    paints on them. A group appears when it is complete, and several processes may make groups.

    Parameters
    ----------
    folder : Path
        The session folder.
    begin : callable, optional
        Called before labels are made; returns where they lie, as far as that is known.
    remedy : str
        What to do where they cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        begin: Callable[[], Geometry | None] = lambda: None,
        remedy: str = CHOOSE_FOLDER,
    ) -> None:
        self.path = folder / LABELS
        self._begin = begin
        self._remedy = remedy

    def __contains__(self, name: str) -> bool:
        return (self.path / name / SHOWN).exists()

    def names(self) -> list[str]:
        """Return the names of all labels, in order."""
        if not self.path.exists():
            return []
        return sorted(path.name for path in self.path.iterdir() if path.name in self)

    def free_name(self, name: str) -> str:
        """Return a name that no labels have: this name, or with a number behind it."""
        names = chain([name], (f"{name}-{number}" for number in count(2)))
        return next(free for free in names if free not in self)

    def create(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any] = NARROW
    ) -> StoredLabels:
        """Make empty labels of this shape, rows and columns last.

        Raises
        ------
        StorageError
            If there are labels of this name, or they cannot be written.
        """
        if name in self:
            raise StorageError(f"{self.path} already holds labels named {name}.")
        return self.require(name, shape, dtype)

    def require(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any] = NARROW,
        fill: Callable[[StoredLabels], None] = _leave_empty,
    ) -> StoredLabels:
        """Open labels, and make them if there are none.

        Parameters
        ----------
        name : str
            Their name; another process may make labels of this name meanwhile.
        shape : tuple of int
            Rows and columns last.
        dtype : numpy.dtype
            What holds a label.
        fill : callable, optional
            Writes what they hold when they appear; they are empty when left out.
        """
        if name not in self:
            geometry = self._begin() or Geometry.of_pixels(default_axes(len(shape)))
            with storing_in(self.path, self._remedy), suppress(FileExistsError):
                self._make(name, geometry, (shape, dtype), fill)
        with storing_in(self.path, self._remedy):
            return self.open(name)

    def open(self, name: str) -> StoredLabels:
        """Open labels that are there.

        Raises
        ------
        OSError, ValueError, LookupError, TypeError
            If they are damaged, or something else.
        """
        group = zarr.open_group(self.path, mode="r+")[name]
        if not isinstance(group, zarr.Group):
            raise LookupError(f"{name} is no group")
        return self._stored_in(self.path, group)

    def copy(self, name: str) -> str:
        """Copy labels, and return the name of the copy."""
        copy = self.free_name(f"{name}-copy")
        with storing_in(self.path, self._remedy):
            with new_folder(self.path / copy, self.path.parent) as draft:
                _copy_tree(self.path / name, draft)
            self.list_names()
        return copy

    def delete(self, name: str) -> None:
        """Delete labels, if there are any of this name."""
        if (self.path / name).exists():
            with storing_in(self.path, self._remedy):
                shutil.rmtree(self.path / name)
            with suppress(OSError):  # the list is written anew with the next labels
                self.list_names()

    def list_names(self) -> None:
        """Write the names of all labels where readers of OME-Zarr look for them."""
        metadata = {"version": OME_ZARR_VERSION, "labels": self.names()}
        shared_group(self.path).attrs["ome"] = metadata

    def _make(
        self,
        name: str,
        geometry: Geometry,
        form: tuple[tuple[int, ...], np.dtype[Any]],
        fill: Callable[[StoredLabels], None],
    ) -> None:
        """Make labels of a shape and a type, which appear when they are filled."""
        shared_group(self.path)
        if (self.path / name).exists() and name not in self:
            remove(self.path / name)  # left by an earlier version on a full disk
        with new_folder(self.path / name, self.path.parent) as draft:
            group = _empty_group(draft, form, geometry)
            fill(self._stored_in(draft, group))
        try:
            self.list_names()
        except OSError:
            remove(self.path / name)
            raise

    def _stored_in(self, folder: Path, group: zarr.Group) -> StoredLabels:
        """Return the labels in a group of a store at a folder."""
        shown = array_in(group, SHOWN)
        if is_large(shown.shape):
            return TiledLabels(folder, LabelPyramid.of(group), self._remedy)
        return LabelArray(folder, (shown, array_in(group, MODEL)), self._remedy)


def _empty_group(
    folder: Path, form: tuple[tuple[int, ...], np.dtype[Any]], geometry: Geometry
) -> zarr.Group:
    """Make a group of empty labels at a folder."""
    group = zarr.open_group(folder, mode="w")
    shape, dtype = form
    levels = 1
    if is_large(shape):
        levels = len(LabelPyramid.create(group, shape, dtype, geometry.axes).levels)
    else:
        for name in (SHOWN, MODEL):
            empty_labels(
                group, shape, dtype, max(shape[-2:]), name=name, dimension_names=geometry.axes
            )
    describe(group, levels, geometry)
    return group


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a folder until a file cannot be; `shutil.copytree` would try all the rest, too."""
    target.mkdir()
    for file in sorted(source.rglob("*")):
        if file.is_dir():
            (target / file.relative_to(source)).mkdir()
        else:
            shutil.copyfile(file, target / file.relative_to(source))

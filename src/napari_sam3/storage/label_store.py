"""Labels on disk: arrays of one chunk a frame, each with a twin of what the model wrote."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from ..values import Box, FrameIndex, StorageError, is_large
from .disk import storing_in
from .hand_edits import LabelPlane, PlaneLabels
from .label_pyramid import LabelPyramid
from .lazy_stack import LazyStack


class TiledLabels:
    """The labels of a stack of large frames.

    A layer shows them at several sizes, and on these napari lets nobody paint. So what is shown
    is what the model wrote, and where each object lies is known without looking.

    Parameters
    ----------
    folder : Path
        The store that the arrays are in.
    pyramid : LabelPyramid
        The arrays, empty.
    """

    def __init__(self, folder: Path, pyramid: LabelPyramid) -> None:
        self._folder = folder
        self._pyramid = pyramid
        self._boxes: dict[FrameIndex, dict[int, Box]] = {}  # of each label, or larger

    @property
    def layer_data(self) -> list[LazyStack]:
        """What a layer shows: arrays (..., H, W) uint16, the finest first."""
        return [LazyStack(level) for level in self._pyramid.levels]

    def box(self, place: FrameIndex, value: int) -> Box | None:
        """Return a box outside of which a label has no pixel; None where it has none at all."""
        return self._boxes.get(place, {}).get(value)

    def read(self, place: FrameIndex, box: Box) -> LabelPlane:
        """Read the pixels in a box of the frame at a place."""
        labels = self._pyramid.read(place, box)
        return LabelPlane(labels, labels)

    def write(self, place: FrameIndex, plane: LabelPlane, box: Box) -> None:
        """Replace the pixels in a box, or leave them as they were and raise a `StorageError`."""
        before = self._pyramid.read(place, box)
        if np.array_equal(before, plane.shown):
            return
        try:
            self._put(place, box, plane.shown)
        except StorageError:
            with suppress(StorageError):
                self._put(place, box, before)
            raise
        self._note(place, box, before, plane.shown)

    def places(self) -> list[FrameIndex]:
        """Return the places of all frames that something is written on, in order."""
        return sorted(place for place, boxes in self._boxes.items() if boxes)

    def edited_frames(self) -> list[FrameIndex]:
        """Return the places that a user painted on: none."""
        return []

    def parts(self, place: FrameIndex) -> Iterator[tuple[int, Box, LabelPlane]]:
        """Return every label of a frame, with a box that holds all of it and the pixels there."""
        for value, box in sorted(self._boxes.get(place, {}).items()):
            yield value, box, self.read(place, box)

    def _put(self, place: FrameIndex, box: Box, labels: PlaneLabels) -> None:
        with storing_in(self._folder):
            self._pyramid.write(place, box, labels)

    def _note(self, place: FrameIndex, box: Box, before: PlaneLabels, after: PlaneLabels) -> None:
        """Keep in mind where the labels in a box are from now on."""
        boxes = self._boxes.setdefault(place, {})
        for value in np.union1d(before[before > 0], after[after > 0]).tolist():
            earlier = boxes.pop(value, None)
            now = Box.around(after == value)
            now = now if now.is_empty else now.shifted(box.top, box.left)
            if earlier is not None and not box.contains(earlier):
                now = earlier.union(now)
            if not now.is_empty:
                boxes[value] = now


@dataclass(frozen=True, slots=True, eq=False)
class LabelArray:
    """The labels of a stack, read and written one frame at a time."""

    folder: Path
    shown: zarr.Array[Any]  # (..., H, W) uint16, what a layer shows
    model: zarr.Array[Any]  # the same shape, what the model wrote

    @property
    def layer_data(self) -> zarr.Array[Any]:
        """What a layer shows, (..., H, W) uint16."""
        return self.shown

    def box(self, place: FrameIndex, value: int) -> Box:
        """Return the box that a label is looked for in: always the whole frame."""
        return Box.whole(self.shown.shape)

    def read(self, place: FrameIndex, box: Box | None = None) -> LabelPlane:
        """Read the frame at a place, which is the only box there is."""
        return LabelPlane(_plane(self.shown, place), _plane(self.model, place))

    def write(self, place: FrameIndex, plane: LabelPlane, box: Box | None = None) -> None:
        """Replace the frame at a place, or leave it as it was and raise a `StorageError`."""
        before = self.read(place)
        self._put(self.model, place, before.model, plane.model)
        try:
            self._put(self.shown, place, before.shown, plane.shown)
        except StorageError:
            self._put(self.model, place, plane.model, before.model)
            raise

    def places(self) -> list[FrameIndex]:
        """Return the places of all frames that something is written on, in order."""
        chunks = [chunk for array in (self.shown, self.model) for chunk in self._chunks(array)]
        return sorted(set(chunks))

    def edited_frames(self) -> list[FrameIndex]:
        """Return the places where what is shown is stored otherwise than what the model wrote.

        The files are compared unread, which for a thousand frames takes a tenth of a second.
        """
        return [
            place
            for place in self.places()
            if self._stored(self.shown, place) != self._stored(self.model, place)
        ]

    def parts(self, place: FrameIndex) -> Iterator[tuple[int, Box, LabelPlane]]:
        """Return every label of a frame, each with the whole frame."""
        plane, box = self.read(place), Box.whole(self.shown.shape)
        for value in np.union1d(plane.shown, plane.model).tolist():
            if value:
                yield value, box, plane

    def _stored(self, array: zarr.Array[Any], place: FrameIndex) -> bytes:
        chunk = self.folder.joinpath(array.path, "c", *map(str, place), "0", "0")
        return chunk.read_bytes() if chunk.exists() else b""

    def _chunks(self, array: zarr.Array[Any]) -> Iterator[FrameIndex]:
        root = self.folder / array.path / "c"
        for chunk in root.glob("/".join("*" * array.ndim)):
            parts = chunk.relative_to(root).parts
            if parts[-1].isdigit():
                yield tuple(int(part) for part in parts[:-2])

    def _put(
        self,
        array: zarr.Array[Any],
        place: FrameIndex,
        before: NDArray[np.uint16],
        after: NDArray[np.uint16],
    ) -> None:
        if np.array_equal(before, after):
            return
        with storing_in(self.folder):
            array[_index(place)] = after


StoredLabels = LabelArray | TiledLabels
"""Both are asked alike; boxes matter only where frames are large."""


class LabelStore:
    """The label arrays of a session, in ``labels.zarr`` of its folder; made when first needed.

    Parameters
    ----------
    folder : Path
        The session folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "labels.zarr"

    def free_name(self, name: str) -> str:
        """Return a name that no labels have: this one, or with a number behind it."""
        names = (f"{name}-{number}" for number in count(2))
        return next(one for one in chain([name], names) if not self._holds(one))

    def create(self, name: str, shape: tuple[int, ...]) -> StoredLabels:
        """Make empty labels of this shape, rows and columns last."""
        if self._holds(name):
            raise StorageError(f"{self.path} already holds labels named {name}.")
        try:
            return self._create(name, shape)
        except StorageError:
            self.delete(name)
            raise

    def copy(self, name: str) -> str:
        """Copy labels, and return the name of the copy."""
        copy = self.free_name(f"{name}-copy")
        try:
            with storing_in(self.path):
                _copy_tree(self.path / name, self.path / copy)
        except StorageError:
            self.delete(copy)
            raise
        return copy

    def delete(self, name: str) -> None:
        """Delete an array, if there is one."""
        if (self.path / name).exists():
            with storing_in(self.path):
                shutil.rmtree(self.path / name)

    def _holds(self, name: str) -> bool:
        return (self.path / name / "0").exists()

    def _create(self, name: str, shape: tuple[int, ...]) -> StoredLabels:
        with storing_in(self.path):
            # A group that holds no array was left by a failure that zarr had not quite ended.
            group = zarr.open_group(self.path, mode="a").create_group(name, overwrite=True)
            if is_large(shape):
                return TiledLabels(self.path, LabelPyramid.create(group, shape))
            shown, model = (_empty(group, part, shape) for part in ("0", "model"))
        return LabelArray(self.path, shown, model)


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a folder until a file cannot be; `shutil.copytree` would try all the others, too."""
    target.mkdir()
    for file in sorted(source.rglob("*")):
        if file.is_dir():
            (target / file.relative_to(source)).mkdir()
        else:
            shutil.copyfile(file, target / file.relative_to(source))


def _empty(group: zarr.Group, name: str, shape: tuple[int, ...]) -> zarr.Array[Any]:
    return group.create_array(
        name,
        shape=shape,
        chunks=(*(1 for _ in shape[:-2]), *shape[-2:]),
        dtype=np.uint16,
        fill_value=0,
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
    )


def _plane(array: zarr.Array[Any], place: FrameIndex) -> NDArray[np.uint16]:
    return np.asarray(array[_index(place)], np.uint16)


def _index(place: FrameIndex) -> tuple[int | slice, ...]:
    return (*place, slice(None), slice(None))

"""The session folder (``*.sam3``), which the dock, the engine and the command line share.

::

    movie.sam3/
        session.json         version of the layout, image, model and contrast
        labels.zarr/         OME-Zarr labels, a group for each
            object-1/        pixels of object 1, which have the value 1:
                0            as they are shown; of large frames also 1, 2, ... ever coarser
                model        as the model wrote them; not of large frames
            objects/         the same of objects that share a layer, each with its own value
            concept-1/       the same of the candidates of a concept
        embeddings.zarr/     a cache, made by the engine
        labels-before.zarr/  arrays of an earlier layout, after they were copied into labels.zarr
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any, Self

import numpy as np

from ..values import FrameIndex, Geometry, Mask, StorageError, default_axes
from .disk import CHOOSE_FOLDER, UNREADABLE, shared_group, storing_in, write_whole
from .earlier_layouts import bring_over, earlier_shape, image_of_version_1
from .label_pyramid import NARROW, type_of_labels
from .label_store import (
    HIGHEST_ID,
    SHARED_LABELS,
    LabelStore,
    StoredLabels,
    name_of_object,
)

VERSION = 2
"""Of the layout of a session folder."""
SESSION = "session.json"
EMBEDDINGS = "embeddings.zarr"
"""Where embeddings are in a folder."""


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """What the masks of a session are made from."""

    shape: tuple[int, ...]  # of the labels, rows and columns last
    geometry: Geometry  # of the labels
    first_frame: str  # digest of the pixels of the first frame; empty where it is not known
    model: Mapping[str, str]  # name and revision
    contrast: Sequence[Mapping[str, Any]]  # settings of every channel


class SessionFolder:
    """The folder in which the work on one image is kept; nothing is written before it is begun.

    Any thread may write, and several processes may: every file and every chunk of labels is
    written whole.

    Parameters
    ----------
    path : Path
        The folder, which need not exist yet.
    describe : callable
        Returns what the masks are made from; called when the folder is begun.
    remedy : str
        What to do where the folder cannot be written, or is that of another image.

    Attributes
    ----------
    labels : LabelStore
        The labels of objects and concepts; making the first begins the folder.
    """

    def __init__(
        self,
        path: Path,
        describe: Callable[[], SessionDescription],
        remedy: str = CHOOSE_FOLDER,
    ) -> None:
        self.path = path
        self.labels = LabelStore(path, self.begin, remedy)
        self._describe = describe
        self._remedy = remedy
        self._lock = RLock()
        self._begun: SessionDescription | None = None
        self._by_object: dict[int, StoredLabels] = {}

    @classmethod
    def open(cls, path: Path, description: SessionDescription) -> Self:
        """Begin a folder, or continue that of the same image.

        Raises
        ------
        StorageError
            If nothing can be written there, or the folder is that of another image, is damaged, or
            was written by a newer version.
        """
        folder = cls(path, lambda: description)
        folder.begin()
        return folder

    def begin(self) -> Geometry:
        """Make the folder with its ``session.json``, and return where its labels lie.

        A folder of an earlier layout is brought over to this one; nothing in it is lost.
        """
        return self._description().geometry

    def write_mask(self, mask: Mask) -> None:
        """Keep what the model says an object is on a frame of the stack.

        It replaces an earlier mask; what was painted by hand stays. An object that shares its
        labels takes no pixels from the objects beside it.
        """
        _check_object(mask.object_id)
        with storing_in(self.path, self._remedy, UNREADABLE), self._lock:
            labels = self._labels_of(mask)
            if labels is not None:
                frame_index = _frame_index(mask.frame, labels.finest.shape)
                labels.refresh(frame_index)
                labels.write_mask((frame_index, int(mask.object_id)), mask)

    def _labels_of(self, mask: Mask) -> StoredLabels | None:
        """Return the labels that hold an object, made if need be; none for an empty mask."""
        object_id = int(mask.object_id)
        name, dtype = name_of_object(object_id), type_of_labels(object_id)
        if object_id in self._by_object:
            return self._by_object[object_id]
        if name not in self.labels and SHARED_LABELS in self.labels and dtype == NARROW:
            name = SHARED_LABELS
        if name not in self.labels and not mask.area:
            return None
        shape = self._description().shape
        labels = self.labels.require(name, shape, dtype)
        if labels.finest.shape != shape or labels.finest.dtype != dtype:
            raise ValueError(f"{name} is {labels.finest.dtype} of shape {labels.finest.shape}")
        self._by_object[object_id] = labels
        return labels

    def _description(self) -> SessionDescription:
        """Return what was written into ``session.json``, which is done if need be."""
        with self._lock:
            if self._begun is None or not (self.path / SESSION).exists():
                self._begun = self._write_session(self._describe())
            return self._begun

    def _write_session(self, description: SessionDescription) -> SessionDescription:
        with storing_in(self.path, self._remedy):
            self.path.mkdir(parents=True, exist_ok=True)
        version, stored = self._read_session(description)
        self._check_image(stored, description)
        description = replace(_at_shape(stored.shape, description), first_frame=stored.first_frame)
        with storing_in(self.path, self._remedy, UNREADABLE):
            shared_group(self.labels.path)
            if version < VERSION:
                bring_over(self.path, description.shape, description.geometry)
            write_whole(self.path / SESSION, _session_text(description))
        return description

    def _read_session(self, description: SessionDescription) -> tuple[int, SessionDescription]:
        """Return the version of the folder, and the description with its shape and frame."""
        path = self.path / SESSION
        try:
            if not path.exists():
                shape = earlier_shape(self.path)
                return 0, replace(description, shape=shape or description.shape)
            session = json.loads(path.read_text(encoding="utf-8"))
            version = session["version"]
            if type(version) is not int:
                raise ValueError(f"its version is {version!r}")
            if version > VERSION:
                raise StorageError(
                    f"{self.path} was written by a newer napari-sam3: update it, or {self._remedy}"
                )
            shape, first_frame = _image_in(session)
        except StorageError:
            raise
        except UNREADABLE as error:
            raise StorageError(f"{path} cannot be read ({error}): {self._remedy}") from error
        known = first_frame or description.first_frame
        return version, replace(description, shape=shape, first_frame=known)

    def _check_image(self, stored: SessionDescription, description: SessionDescription) -> None:
        """Refuse a folder that is that of another image."""
        if _long_axes(stored.shape) != _long_axes(description.shape):
            raise StorageError(
                f"{self.path} holds results of {_size(stored.shape)}, but this image has "
                f"{_size(description.shape)}: {self._remedy}"
            )
        if description.first_frame and stored.first_frame != description.first_frame:
            raise StorageError(
                f"{self.path} holds results of another image, whose first frame differs from that "
                f"of this image: {self._remedy}"
            )


def _check_object(object_id: object) -> None:
    """Refuse an id that is no label."""
    if not isinstance(object_id, int | np.integer) or not 0 < object_id <= HIGHEST_ID:
        raise StorageError(
            f"Masks are kept of objects 1 to {HIGHEST_ID}, not of {object_id!r}: number the "
            "objects from 1."
        )


def _image_in(session: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
    """Return the shape of the labels, and the digest of the first frame where there is one."""
    match session["version"]:
        case 1:
            shape, first_frame = image_of_version_1(session)
        case 2:
            shape, first_frame = tuple(session["image"]["shape"]), session["image"]["first_frame"]
        case version:
            raise ValueError(f"its version is {version!r}")
    if len(shape) < 2 or not all(type(side) is int and side > 0 for side in shape):
        raise ValueError(f"the shape of its image is {shape}")
    return shape, str(first_frame)


def _session_text(description: SessionDescription) -> str:
    session = {
        "version": VERSION,
        "image": {
            "shape": description.shape,
            "axes": description.geometry.axes,
            "first_frame": description.first_frame,
        },
        "model": dict(description.model),
        "contrast": list(description.contrast),
    }
    return json.dumps(session, indent=1)


def _at_shape(shape: tuple[int, ...], description: SessionDescription) -> SessionDescription:
    """Return a description for a folder whose labels have more or fewer axes of length 1."""
    if shape == description.shape:
        return description
    return replace(description, shape=shape, geometry=Geometry.of_pixels(default_axes(len(shape))))


def _frame_index(frame: int, shape: tuple[int, ...]) -> FrameIndex:
    """Return the index of a frame of a stack in labels of this shape."""
    return tuple(int(index) for index in np.unravel_index(frame, shape[:-2])) if shape[:-2] else ()


def _long_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*(length for length in shape[:-2] if length > 1), *shape[-2:])


def _size(shape: tuple[int, ...]) -> str:
    frames = " x ".join(map(str, shape[:-2] or (1,)))
    return f"{frames} frames of {shape[-2]} x {shape[-1]} pixels"

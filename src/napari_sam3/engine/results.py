"""The results of a session, on disk as soon as they are there."""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.errors import ContainsArrayError

from ..values import Mask, StorageError
from .cache.content_hash import pixels_digest
from .cache.entries import UNREADABLE
from .cache.quota import shared_group
from .images.contrast import Channel, Contrast
from .images.frames import Frames
from .images.tiling import mask_in
from .images.windows import Window

VERSION = 1
"""Of the layout of a session's folder."""
TILE = 1024
"""Rows and columns of a chunk where frames are large."""

Chunk = tuple[int, int]  # counted in rows and columns of chunks


class Results:
    """Masks in a folder: ``labels.zarr`` has one array per object, with one chunk per frame.

    Large frames are cut into chunks of 1024 x 1024 pixels, of which only those are touched where
    the object is or was. ``session.json`` tells what they were made from. Every file is written
    whole and then put in its place. Any thread may write, and several processes may.

    Raises
    ------
    StorageError
        If nothing can be written there, or the folder belongs to another image.
    """

    def __init__(self, folder: Path, frames: Frames, facts: dict[str, Any]) -> None:
        self._folder = folder
        self._shape = (frames.count, *frames.shape)
        self._first = pixels_digest(frames.first().astype(np.float64))  # whatever type stores it
        largest = TILE if frames.is_large else max(frames.shape)
        self._chunks = (1, *(min(side, largest) for side in frames.shape))
        self._arrays: dict[int, zarr.Array[Any]] = {}
        with self._storing():
            folder.mkdir(parents=True, exist_ok=True)
        self._check(folder / "session.json")
        with self._storing():
            _write_whole(folder / "session.json", self._description(facts))
            self._group = shared_group(folder / "labels.zarr")

    def write(self, mask: Mask) -> None:
        """Keep a mask; it takes the place of an earlier one."""
        with self._storing():
            array = self._array(mask.object_id)
            height, width = array.chunks[1:]
            for row, col in self._written(mask) | _covered(mask, (height, width)):
                window = _chunk_window(row * height, col * width, array)
                rows = slice(window.top, window.top + window.height)
                cols = slice(window.left, window.left + window.width)
                array[mask.frame, rows, cols] = mask_in(mask, window).view(np.uint8)

    def _written(self, mask: Mask) -> set[Chunk]:
        """Return the chunks of a mask's frame that are on disk."""
        chunks = self._folder / "labels.zarr" / str(mask.object_id) / "c" / str(mask.frame)
        found = (path.relative_to(chunks).parts for path in chunks.glob("*/*"))
        return {(int(row), int(col)) for row, col in found if col.isdigit()}

    def _array(self, object_id: int) -> zarr.Array[Any]:
        known = self._arrays.get(object_id)
        if known is None:
            try:
                known = self._required(object_id)
            except ContainsArrayError:  # another thread or process has made it meanwhile
                known = self._required(object_id)
            self._arrays[object_id] = known
        return known

    def _required(self, object_id: int) -> zarr.Array[Any]:
        return self._group.require_array(
            str(object_id),
            shape=self._shape,
            chunks=self._chunks,
            dtype=np.uint8,
            fill_value=0,
        )

    def _description(self, facts: dict[str, Any]) -> str:
        image = {"frames": self._shape[0], "shape": self._shape[1:], "first": self._first}
        return json.dumps({"version": VERSION, **image, **facts}, indent=1)

    def _check(self, path: Path) -> None:
        """Refuse a folder that belongs to another image."""
        try:
            known = json.loads(path.read_text())
            is_newer = known["version"] > VERSION
            count, (height, width) = known["frames"], known["shape"]
            first = known.get("first", self._first)  # older folders do not tell
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{path} cannot be read ({error}): choose another folder."
            ) from error
        if is_newer:
            raise StorageError(
                f"{self._folder} was written by a newer napari-sam3: update it, or choose another "
                "folder."
            )
        if (count, height, width) != self._shape:
            raise StorageError(
                f"{self._folder} holds results of {count} frames of {height} x {width} pixels, "
                f"but this image has {self._shape[0]} of {self._shape[1]} x "
                f"{self._shape[2]}: choose another folder."
            )
        if first != self._first:
            raise StorageError(
                f"{self._folder} holds results of another image, whose first frame differs from "
                "that of this one: choose another folder."
            )

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            raise StorageError(_told(error, self._folder)) from error


def _covered(mask: Mask, sides: tuple[int, int]) -> set[Chunk]:
    """Return the chunks of so many rows and columns in which the patch of a mask lies."""
    box = mask.box
    rows, cols = (
        range(box[axis] // side, -(-box[axis + 2] // side)) for axis, side in enumerate(sides)
    )
    return set(product(rows, cols))


def _chunk_window(top: int, left: int, array: zarr.Array[Any]) -> Window:
    height, width = array.chunks[1:]
    rows, cols = array.shape[1:]
    return Window(0, top, left, min(height, rows - top), min(width, cols - left))


def _told(error: Exception, folder: Path) -> str:
    if not isinstance(error, OSError):
        return (
            f"{folder} is damaged, or holds something else ({error}): choose another folder; what "
            "was done is kept."
        )
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = f"No room left in {folder}" if is_full else f"{folder} cannot be written ({error})"
    return f"{what}: free some space or choose another folder; what was done is kept."


def described(contrast: Contrast) -> list[dict[str, Any]]:
    """Return the settings of every channel, fit for JSON."""
    return [_described(channel) for channel in contrast.channels]


def _described(channel: Channel) -> dict[str, Any]:
    colors = channel.colors[-1] if channel.is_straight else channel.colors
    return {
        "limits": channel.limits,
        "gamma": channel.gamma,
        "opacity": channel.opacity,
        "blending": channel.blending,
        "colors": colors.tolist(),
    }


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_suffix(f".{uuid.uuid4().hex}.partial")  # others may write, too
    try:
        draft.write_text(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)

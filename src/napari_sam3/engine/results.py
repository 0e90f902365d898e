"""The results of a session, on disk as soon as they are there."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from .contrast import Channel, Contrast
from .errors import StorageError
from .frames import Frames
from .masks import ObjectMask

VERSION = 1
"""Of the layout of a session's folder."""


class Results:
    """Masks in a folder: ``labels.zarr`` has one array per object, with one chunk per frame.

    ``session.json`` tells what they were made from. Every file is written whole and then put in
    its place.

    Raises
    ------
    StorageError
        If nothing can be written there, or the folder belongs to another image.
    """

    def __init__(self, folder: Path, frames: Frames, facts: dict[str, Any]) -> None:
        self._folder = folder
        self._shape = (frames.count, *frames.shape)
        self._arrays: dict[int, zarr.Array[Any]] = {}
        with self._storing():
            folder.mkdir(parents=True, exist_ok=True)
        self._check(folder / "session.json")
        with self._storing():
            _write_whole(folder / "session.json", self._description(facts))
            self._group = zarr.open_group(folder / "labels.zarr", mode="a")

    def write(self, mask: ObjectMask) -> None:
        """Keep a mask; it takes the place of an earlier one."""
        with self._storing():
            self._array(mask.object_id)[mask.frame] = mask.pixels.view(np.uint8)

    def _array(self, object_id: int) -> zarr.Array[Any]:
        if object_id not in self._arrays:
            self._arrays[object_id] = self._group.require_array(
                str(object_id),
                shape=self._shape,
                chunks=(1, *self._shape[1:]),
                dtype=np.uint8,
                fill_value=0,
            )
        return self._arrays[object_id]

    def _description(self, facts: dict[str, Any]) -> str:
        whole = {"version": VERSION, "frames": self._shape[0], "shape": self._shape[1:], **facts}
        return json.dumps(whole, indent=1)

    def _check(self, path: Path) -> None:
        """Refuse a folder that belongs to another image."""
        if not path.exists():
            return
        try:
            known = json.loads(path.read_text())
            version, shape = known["version"], (known["frames"], *known["shape"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{path} cannot be read ({error}): choose another folder."
            ) from error
        if version > VERSION:
            raise StorageError(
                f"{self._folder} was written by a newer napari-sam3: update it, or choose another "
                "folder."
            )
        if shape != self._shape:
            raise StorageError(
                f"{self._folder} holds results of {shape[0]} frames of {shape[1]} x {shape[2]} "
                f"pixels, but this image has {self._shape[0]} of {self._shape[1]} x "
                f"{self._shape[2]}: choose another folder."
            )

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(_told(error, self._folder)) from error


def _told(error: OSError, folder: Path) -> str:
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
    draft = path.with_suffix(".partial")
    draft.write_text(text)
    draft.replace(path)

"""A file of labels that is written mask by mask, and never held as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import zarr
from tifffile import imwrite

from ..storage import NARROW, TILE, LabelPyramid, Labels, describe, type_of_labels
from ..values import LARGE_FRAME, Box, Geometry, Mask, StorageError

ZARR = ".zarr"


class LabelFile:
    """Labels of a stack as a TIFF, or as OME-Zarr where the name ends in .zarr.

    Until all is written there is no file of that name, or still the one from before.

    Parameters
    ----------
    path : Path
        Where the labels go.
    shape : tuple of int
        Frames, height and width; a single frame is written without its first axis.
    highest : int
        Number of the last object; beyond 65 535 a label takes 32 bits instead of 16.
    geometry : Geometry, optional
        Where the labels lie, which OME-Zarr tells; a single frame has no first axis here either.

    Raises
    ------
    StorageError
        If it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        highest: int = np.iinfo(NARROW).max,
        geometry: Geometry | None = None,
    ) -> None:
        self.path = path
        self._is_stack = shape[0] > 1
        self._highest = highest
        self._geometry = geometry or Geometry.of_pixels("tyx" if self._is_stack else "yx")
        self._draft = path.with_name(f".{path.name}.partial")
        check_free(path)
        with writing(path):
            self._group = zarr.open_group(self._draft, mode="w")
            own_shape = shape if self._is_stack else shape[1:]
            self._pyramid = LabelPyramid.create(
                self._group, own_shape, type_of_labels(highest), self._geometry.axes
            )

    def __enter__(self) -> Self:
        """Take masks."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the file in its place, or leave nothing where something went wrong."""
        try:
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._draft, ignore_errors=True)

    def paint(self, mask: Mask) -> None:
        """Write a mask where no other object is yet."""
        if mask.object_id > self._highest:
            raise StorageError(
                f"{self.path} was begun for objects up to {self._highest}, and "
                f"{mask.object_id} is higher: say how high they go when you begin it."
            )
        if not mask.area:
            return
        place = (mask.frame,) if self._is_stack else ()
        with writing(self.path):
            labels = self._pyramid.read(place, mask.box)
            labels[mask.crop & (labels == 0)] = mask.object_id
            self._pyramid.write(place, mask.box, labels)

    def _finish(self) -> None:
        with writing(self.path):
            if self.path.suffix == ZARR:
                self._finish_zarr()
            else:
                self._finish_tiff()

    def _finish_zarr(self) -> None:
        describe(self._group, len(self._pyramid.levels), self._geometry)
        put_in_place(self._draft, self.path)

    def _finish_tiff(self) -> None:
        shape = self._pyramid.levels[0].shape
        is_large = shape[-2] * shape[-1] > LARGE_FRAME
        sides = (TILE, TILE) if is_large else shape[-2:]
        aside = self._draft / "labels.tif"
        imwrite(
            aside,
            self._parts(sides),
            shape=shape,
            dtype=self._pyramid.dtype,
            tile=sides if is_large else None,  # ImageJ reads no tiles
            photometric="minisblack",
            compression="zlib",
        )
        aside.replace(self.path)

    def _parts(self, sides: tuple[int, ...]) -> Iterator[Labels]:
        """Return the labels part by part, each of these sides or less, in the order of a TIFF."""
        shape = self._pyramid.levels[0].shape
        for place in product(*map(range, shape[:-2])):
            for top, left in product(range(0, shape[-2], sides[0]), range(0, shape[-1], sides[1])):
                bottom, right = min(top + sides[0], shape[-2]), min(left + sides[1], shape[-1])
                yield self._pyramid.read(place, Box(top, left, bottom, right))


def check_free(path: Path) -> None:
    """Refuse a name under which there is a folder that is no labels."""
    if path.is_dir() and not _is_labels(path):
        raise StorageError(f"{path} is no file of labels: choose another name for them.")


def put_in_place(draft: Path, path: Path) -> None:
    """Let a folder of labels take the place of an earlier one."""
    if path.exists():
        shutil.rmtree(path)
    draft.rename(path)


def _is_labels(folder: Path) -> bool:
    """Tell whether a folder is OME-Zarr labels, which may be replaced by others."""
    if not (folder / "zarr.json").exists():
        return False
    told = zarr.open(folder, mode="r").attrs.get("ome")
    return isinstance(told, Mapping) and "image-label" in told


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file could not be written, and what to do."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be written ({error}). Choose another place with room."
        ) from error

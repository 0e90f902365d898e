"""A file of labels that is written mask by mask, and never held as a whole."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import numpy as np
import zarr
from numpy.typing import NDArray

from ..storage import (
    DRAFT,
    NARROW,
    UNWRITABLE,
    LabelPyramid,
    describe,
    storing_in,
    type_of_labels,
    written_whole,
)
from ..values import Geometry, Mask, StorageError
from .ome_zarr_labels import check_replaceable
from .tiff_labels import write_pyramid

ZARR = ".zarr"


class LabelFile:
    """Labels of a stack as a TIFF, or as OME-Zarr where the name ends in .zarr.

    Until all is written there is no file of that name, or still the one from before.

    Parameters
    ----------
    path : Path
        Where the labels are written.
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
        check_replaceable(path)
        with storing_in(path, errors=UNWRITABLE), ExitStack() as drafts:
            self._group = zarr.open_group(self._draft(drafts), mode="w")
            own_shape = shape if self._is_stack else shape[1:]
            self._pyramid = LabelPyramid.create(
                self._group, own_shape, type_of_labels(highest), self._geometry.axes
            )
            self._drafts = drafts.pop_all()

    def __enter__(self) -> Self:
        """Take masks."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete the file, or leave nothing of it where something went wrong."""
        if kind is not None:
            self._drafts.__exit__(kind, error, traceback)
            return
        with storing_in(self.path, errors=UNWRITABLE), self._drafts:
            if self.path.suffix == ZARR:
                describe(self._group, len(self._pyramid.levels), self._geometry)
            else:
                write_pyramid(self.path, self._pyramid)

    def paint(self, mask: Mask) -> None:
        """Write a mask where no other object is yet."""
        if mask.object_id > self._highest:
            raise StorageError(
                f"{self.path} was begun for objects up to {self._highest}, and "
                f"{mask.object_id} is higher: say how high they go when you begin it."
            )
        if not mask.area:
            return
        frame_index = (mask.frame,) if self._is_stack else ()
        with storing_in(self.path, errors=UNWRITABLE):
            labels = self._pyramid.read(frame_index, mask.box)
            labels[mask.crop & (labels == 0)] = mask.object_id
            self._pyramid.write(frame_index, mask.box, labels)

    def _draft(self, drafts: ExitStack) -> Path:
        """Return where the labels are gathered: the OME-Zarr to be, or a folder that is removed."""
        if self.path.suffix == ZARR:
            return drafts.enter_context(written_whole(self.path))
        beside = TemporaryDirectory(prefix=DRAFT, dir=self.path.parent)
        return Path(drafts.enter_context(beside))


def paint(labels: NDArray[np.uint16], mask: Mask) -> None:
    """Write a mask into labels, (F, H, W), where no other object is yet."""
    part = labels[(mask.frame, *mask.box.slices)]
    part[mask.crop & (part == 0)] = mask.object_id

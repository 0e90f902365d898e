"""Labels layers that show candidates: kept ones filled, the rest as thin outlines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from ..storage import LabelArray, LabelPlane, LabelStore, LazyStack, level_sides
from ..values import Box, FrameIndex, is_large
from .axes import data_shape, geometry
from .label_layers import Sheet

LARGEST = np.iinfo(np.uint16).max
"""Label values above this one begin anew at 1."""
_OPACITY = 0.5  # the image is still seen under a mask
_FAINT = (1.0, 1.0, 0.6, 0.8)  # red, green, blue and opacity of what is not kept


class ConceptSheet:
    """The candidates of one concept on all frames: a Labels layer over the session folder.

    A label is the number of a candidate on its frame. What the user paints or erases stays when
    the candidates are drawn anew.

    Parameters
    ----------
    image : Image
        The layer that the candidates lie on.
    store : LabelStore
        Where their array is.
    number : int
        Names the array; each concept of a store has its own.
    name : str
        Name of the layer.
    """

    def __init__(self, image: Image, store: LabelStore, number: int, name: str) -> None:
        self._store = store
        array = store.create(f"concept-{number}", data_shape(image))
        data = array.layer_data
        layer = Labels(
            data,
            name=name,
            multiscale=isinstance(data, list),
            opacity=_OPACITY,
            **geometry(image),
        )
        self._sheet = Sheet(f"concept-{number}", array, layer)

    @property
    def layer(self) -> Labels:
        """The layer, to be added to a viewer."""
        return self._sheet.layer

    def draw(self, frame_index: FrameIndex, labels: NDArray[np.int32], box: Box) -> None:
        """Draw candidates in a box of a frame, (h, w) with 0 where there is none.

        Raises
        ------
        StorageError
            If they cannot be stored; nothing has changed then.
        """
        plane = self._sheet.array.read(frame_index, box)
        self._sheet.write(frame_index, _redrawn(plane, _values(labels)), box)

    def painted(self, frame_index: FrameIndex) -> dict[int, NDArray[np.bool_]]:
        """Return the labels of a frame that the user painted or erased, and their pixels, (H, W).

        On large frames there are none: napari does not paint on them.
        """
        array = self._sheet.array
        if not isinstance(array, LabelArray):
            return {}
        plane = array.read(frame_index)
        return {value: plane.mask(value) for value in plane.edited()}

    def renumber(self, frame_index: FrameIndex, numbers: Mapping[int, int]) -> None:
        """Give new labels to what was painted on a frame, by the labels it has.

        Candidates are numbered anew when a frame is searched again. What was painted beside them
        gets labels that no candidate has.

        Raises
        ------
        StorageError
            If it cannot be stored; nothing has changed then.
        """
        box = Box.whole(data_shape(self.layer))
        plane = self._sheet.array.read(frame_index, box)
        shown = plane.shown.copy()
        for label, number in numbers.items():
            shown[plane.added(label)] = min(number, LARGEST)
        self._sheet.write(frame_index, replace(plane, shown=shown), box)

    def wipe(self, frame_index: FrameIndex, values: Collection[int]) -> None:
        """Take labels off a frame, with what was painted of them."""
        array = self._sheet.array
        if values and isinstance(array, LabelArray):
            box = Box.whole(data_shape(self.layer))
            self._sheet.write(frame_index, array.read(frame_index).without(*values), box)

    def show_features(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show where the mouse points what is known of the candidates of the frame in view.

        A row has the ``index`` of a label, and whatever else there is to show of it.
        """
        names = rows[0].keys() if rows else ("index",)
        self.layer.features = {name: [row[name] for row in rows] for name in names}

    def delete(self) -> None:
        """Delete the array; the layer must have left the viewer."""
        self._store.delete(self._sheet.name)


class FaintOutlines:
    """Thin outlines of candidates that are not kept, on one frame at a time.

    Parameters
    ----------
    image : Image
        The layer that the candidates lie on.
    """

    def __init__(self, image: Image) -> None:
        frames = _frames(data_shape(image))
        self._frame = frames[0]
        sizes = [LazyStack(frame) for frame in frames]
        self.layer = Labels(
            sizes if len(sizes) > 1 else sizes[0],
            name=f"{image.name} not counted",
            multiscale=len(sizes) > 1,
            colormap=DirectLabelColormap(color_dict={None: _FAINT, 0: np.zeros(4)}),
            **geometry(image),
        )
        self.layer.editable = False

    def draw(self, frame_index: FrameIndex, labels: NDArray[np.int32]) -> None:
        """Draw candidates of a frame, (H, W) with 0 where there is none, and those alone."""
        self._frame.put(frame_index, _outlined(_values(labels)))
        self.layer.refresh(extent=False)

    def clear(self) -> None:
        """Draw nothing any more."""
        if self._frame.is_empty:
            return
        self._frame.clear()
        self.layer.refresh(extent=False)


class SingleFrame:
    """Zeros in all frames but one.

    Parameters
    ----------
    shape : tuple of int
        Its shape, rows and columns last.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint16)
        self._is_here = np.zeros(shape[:-2], bool)  # true where the frame is
        self._values = np.zeros((0, 0), self.dtype)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing but zeros."""
        return not self._is_here.any()

    def put(self, frame_index: FrameIndex, values: NDArray[np.uint16]) -> None:
        """Let one frame have these values, (H, W), and all others zeros."""
        self.clear()
        self._is_here[frame_index] = True
        self._values = values

    def clear(self) -> None:
        """Let all frames be zeros."""
        self._is_here[...] = False

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[np.uint16]:
        """Return what numpy would for a number or a slice of every axis."""
        zeros = np.broadcast_to(self.dtype.type(0), self.shape)[index]  # takes no memory
        is_here = self._is_here[index[:-2]]
        if not is_here.any():
            return zeros
        pixels = np.zeros(zeros.shape, self.dtype)
        pixels[is_here] = self._values[index[-2:]]
        return pixels


def _frames(shape: tuple[int, ...]) -> list[SingleFrame]:
    """Return zeros of this shape; of large frames also smaller ones, which napari can show."""
    if not is_large(shape):
        return [SingleFrame(shape)]
    return [SingleFrame((*shape[:-2], *plane)) for plane in level_sides((shape[-2], shape[-1]))]


def _values(labels: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Fit labels, (H, W), into the type that is stored."""
    if not labels.size or labels.max() <= LARGEST:
        return labels.astype(np.uint16)
    return np.where(labels > 0, (labels - 1) % LARGEST + 1, 0).astype(np.uint16)


def _outlined(labels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Keep the pixels of labels, (H, W), that lie beside another label or none.

    The contours that napari draws are the same, but it has none in 3-D, and warns of that.
    """
    is_edge = np.zeros(labels.shape, bool)
    for here, beside in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = labels[here] != labels[beside]
        is_edge[here] |= differs
        is_edge[beside] |= differs
    return np.where(is_edge, labels, 0).astype(np.uint16)


def _redrawn(plane: LabelPlane, values: NDArray[np.uint16]) -> LabelPlane:
    """Draw labels, (H, W), instead of earlier ones, except where the user has painted."""
    edited = plane.shown != plane.model
    model = np.where(edited & (values == plane.shown), plane.model, values)
    return replace(plane, shown=np.where(edited, plane.shown, values), model=model)

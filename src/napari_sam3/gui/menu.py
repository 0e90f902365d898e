"""The entries of the File menu that open large images, which are read lazily."""

from __future__ import annotations

from pathlib import Path

from napari.utils.notifications import show_error
from napari.viewer import Viewer
from qtpy.QtWidgets import QFileDialog

from ..io import open_image
from ..layers import layers_of
from ..values import FramesError


def open_ome_zarr(viewer: Viewer) -> None:
    """Let the user select the folder of an OME-Zarr, and show it."""
    folder = QFileDialog.getExistingDirectory(None, "Choose the folder of an OME-Zarr")
    if folder:
        show(viewer, Path(folder))


def open_tiff(viewer: Viewer) -> None:
    """Let the user select a TIFF, and show it."""
    name, _ = QFileDialog.getOpenFileName(None, "Choose a TIFF", filter="TIFF (*.tif *.tiff)")
    if name:
        show(viewer, Path(name))


def show(viewer: Viewer, path: Path) -> None:
    """Add the layers of an image file to a viewer, or say why there are none."""
    try:
        layers = layers_of(open_image(path))
    except FramesError as error:
        show_error(str(error))
        return
    for layer in layers:
        viewer.add_layer(layer)

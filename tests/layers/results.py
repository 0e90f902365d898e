"""Results in a viewer without a window, on a disk that can be full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from zarr.storage import LocalStore

from napari_sam3.layers.image_stack import session_description
from napari_sam3.layers.label_layers import Layout, ResultLayers
from napari_sam3.storage import CHOOSE_CACHE, SessionFolder

RED = (1.0, 0.0, 0.0, 1.0)
BLUE = (0.0, 0.0, 1.0, 1.0)
HERE, THERE = (1, 2), (0, 3)


def session_folder(image: Image, path: Path) -> SessionFolder:
    """Return the folder of an image, as the dock makes it."""
    return SessionFolder(path, lambda: session_description(image, [image], {}), CHOOSE_CACHE)


class ResultBench:
    """Results on a T, Z, Y, X image in a viewer that shows t = 1, z = 2."""

    def __init__(self, folder: Path, layout: Layout = "layer per object") -> None:
        self.viewer = ViewerModel()
        self.image = self.viewer.add_image(
            np.zeros((3, 4, 60, 80)), scale=(1, 3, 0.5, 0.5), translate=(0, 7, -3, 2)
        )
        self.viewer.dims.set_current_step((0, 1), HERE)
        self.results = ResultLayers(
            self.image, session_folder(self.image, folder / "movie.sam3"), layout
        )
        self.results.added.connect(self.viewer.add_layer)
        self.results.removed.connect(self.viewer.layers.remove)
        self.results.describe(1, "cell 1", RED)
        self.results.describe(2, "cell 2", BLUE)

    @property
    def labels(self) -> list[Labels]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Labels)]


def disk(row: int, col: int, radius: int = 8) -> np.ndarray:
    rows, cols = np.mgrid[:60, :80]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def seen(layer: Labels) -> np.ndarray:
    return np.asarray(layer._slice.image.raw)


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: LocalStore, key: str, value: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LocalStore, "set", refuse)

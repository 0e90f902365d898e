"""The part of an image that is on screen."""

from __future__ import annotations

from itertools import product

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from ..engine import PixelBox
from .axes import data_shape


def visible_box(viewer: ViewerModel, image: Image) -> PixelBox | None:
    """Return the box of an image that the canvas shows, in pixels of its finest level.

    None where no pixel is on screen, or where rows and columns are not what is shown. Of a turned
    image it is the box around what is seen.
    """
    shown = list(viewer.dims.displayed)
    if shown != [viewer.dims.ndim - 2, viewer.dims.ndim - 1]:
        return None
    middle = np.array(viewer.scene.camera.center[-2:])
    half = np.array(viewer.canvas.viewbox_size(viewer.layers)) / viewer.scene.camera.zoom / 2
    world = np.tile(np.array(viewer.dims.point, float), (4, 1))
    world[:, -2:] = [middle + signs * half for signs in product((-1, 1), repeat=2)]
    corners = np.array([image.world_to_data(point)[-2:] for point in world])
    plane = np.array(data_shape(image)[-2:])
    first = np.clip(np.floor(corners.min(axis=0) + 0.5), 0, plane)
    last = np.clip(np.ceil(corners.max(axis=0) + 0.5), 0, plane)
    if (first >= last).any():
        return None
    return int(first[0]), int(first[1]), int(last[0]), int(last[1])

"""The demo in a window: the sample, the dock, and a prompt on each of a few cells."""

from __future__ import annotations

import napari
import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from ..controller import Controller, Reach
from ..samples import timelapse

DOCK = "SAM 3: segment and track"


def show(points: NDArray[np.float64]) -> None:
    """Open napari on the sample, outline the cells at these points, and propagate them.

    Parameters
    ----------
    points : (N, 2) array of float
        One point on each cell, as row, col in pixels of frame 0.
    """
    viewer = napari.Viewer()
    ((data, settings, _),) = timelapse()
    viewer.add_image(data, **settings)
    viewer.dims.set_current_step(0, 0)
    _, kept = viewer.window.add_plugin_dock_widget("napari-sam3", DOCK)
    outline_and_propagate(kept.dock.controller, viewer.layers[0], points)
    napari.run()


def outline_and_propagate(
    controller: Controller, image: Image, points: NDArray[np.float64]
) -> None:
    """Click on an object at each point of frame 0, (N, 2), and propagate all of them."""
    controller.focus.choose_image(image)
    for number, point in enumerate(points):
        if number:
            controller.start_next_object()
        controller.click(image.data_to_world((0, *point)), is_positive=True)
    last = image.data.shape[0] - 1
    controller.run(Reach("forward", 0, last, frozenset(controller.starts)))

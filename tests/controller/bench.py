"""A viewer with a controller and a model that draws disks, as a test needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_sam3.controller import Controller, Direction, Reach
from napari_sam3.controller.workspace import Workspace
from napari_sam3.engine import Engine, Prompts
from tests.backends import DiskBackend, DiskEmbedding, disk_frames
from tests.jobs import HeldJobs, InlineJobs

PATH = [(30, 10 + 4 * frame) for frame in range(10)]
"""Where the disk of the time-lapse is, frame by frame."""

MOVIE = disk_frames(PATH)
ALL = range(len(PATH))


class SeeingBackend(DiskBackend):
    """Draws disks, and keeps the images it was shown, each (H, W, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[NDArray[np.float32]] = []

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        self.seen.append(image)
        return super().encode(image)


class Bench:
    """Everything but a window."""

    def __init__(self, jobs: InlineJobs | HeldJobs | None = None) -> None:
        self.viewer = ViewerModel()
        self.backend = SeeingBackend()
        self.engine = Engine(self.backend)
        self.jobs: Any = jobs or InlineJobs()
        self.controller = Controller(self.viewer, self.jobs, lambda: self.engine)
        self.messages: list[str] = []
        self.controller.failed.connect(self.messages.append)

    def add_image(self, pixels: Any, **settings: Any) -> Image:
        return self.viewer.add_image(pixels, **settings)

    @property
    def image(self) -> Image:
        assert self.controller.focus.image is not None
        return self.controller.focus.image

    @property
    def workspace(self) -> Workspace:
        assert self.controller.annotation is not None
        return self.controller.annotation.workspace

    @property
    def asked(self) -> list[Prompts]:
        return self.backend.prompts

    @property
    def labels(self) -> list[Labels]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Labels)]

    def go_to(self, *frame_index: int) -> None:
        for axis, index in enumerate(frame_index):
            self.viewer.dims.set_current_step(axis, index)

    def click(self, *position: float, is_positive: bool = True) -> None:
        """Go to the frame and click there, in pixels of the image."""
        self.go_to(*(int(index) for index in position[:-2]))
        self.controller.click(self.image.data_to_world(position), is_positive=is_positive)

    def click_disk(self, frame: int) -> None:
        self.click(frame, *PATH[frame])

    def next_object(self) -> None:
        self.controller.start_next_object()

    def mask(self, *frame_index: int, object_id: int = 1) -> NDArray[np.bool_]:
        """Return what the viewer shows of an object on a frame."""
        layer = self.workspace.results.layer_of(object_id)
        assert layer is not None
        assert layer in self.viewer.layers
        return np.asarray(layer.data[frame_index]) == object_id

    def frames_with(self, object_id: int = 1) -> list[int]:
        """Name the frames of a time-lapse on which the viewer shows an object."""
        return [frame for frame in ALL if self.mask(frame, object_id=object_id).any()]

    def run(
        self,
        direction: Direction = "both",
        first: int = 0,
        last: int | None = None,
        only: int = 0,
    ) -> None:
        """Propagate all objects, or a single object."""
        axes = self.controller.focus.axes
        assert axes is not None
        last = axes.count - 1 if last is None else last
        ids = frozenset(self.controller.starts) if not only else frozenset({only})
        self.controller.run(Reach(direction, first, last, ids))

    def paint(self, frame_index: tuple[int, ...], row: int, col: int, object_id: int = 1) -> None:
        """Paint a little square by hand, as a user does with napari's brush."""
        layer = self.workspace.results.layer_of(object_id)
        assert layer is not None
        layer.brush_size = 3
        layer.paint((*frame_index, row, col), object_id)

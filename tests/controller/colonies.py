"""A stack of a few bright disks, and what a user does to find them all."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_sam3.controller.concept import ConceptState
from napari_sam3.engine import Selection
from tests.backends import disk_frames
from tests.controller.bench import Bench
from tests.jobs import HeldJobs, InlineJobs
from tests.layers import mouse

CENTRES = [(12, 12), (12, 44), (32, 28), (50, 12), (50, 48)]
"""Where disks are on every frame; the model is less sure of each than of the one before."""
SURE = 3  # of them are at least as likely as not
COLONY = np.repeat(disk_frames(CENTRES, (64, 64)).max(axis=0)[None], 4, axis=0)


class Colony(Bench):
    """A bench with the stack, and a model that reads texts and exemplars."""

    def __init__(self, jobs: InlineJobs | HeldJobs | None = None, pixels: Any = COLONY) -> None:
        super().__init__(jobs)
        self.backend.reads_text = self.backend.reads_exemplars = True
        self.add_image(pixels, name="colony")
        self.go_to(0)

    @property
    def search(self) -> Any:
        return self.controller.search

    @property
    def picking(self) -> Any:
        return self.controller.picking

    @property
    def concept(self) -> ConceptState:
        assert self.search.current is not None
        return self.search.current

    def draw_box(self, centre: tuple[int, int], sign: str = "exemplar") -> None:
        """Draw a box around a disk, as a user does."""
        self.controller.choose_tool(sign)
        layer = self.search.concepts.exemplars.layer
        frame_index = self.controller.focus.frame_index
        corners = [np.array(centre) + shift for shift in (-8, -4, 8)]
        mouse.drag(layer, [(*frame_index, *corner) for corner in corners])

    def select(self, **levels: Any) -> None:
        self.search.select(Selection(**levels))

    def pick(self, centre: tuple[int, int]) -> None:
        """Click on a candidate."""
        self.controller.choose_tool("pick")
        self.click(*self.controller.focus.frame_index, *centre)

    def layer(self, concept: ConceptState | None = None) -> Labels:
        """Return the layer of the current concept, or of another one."""
        sheet = (concept or self.concept).sheet
        assert sheet is not None
        assert sheet.layer in self.viewer.layers
        return sheet.layer

    def shown(self, frame: int = 0) -> list[int]:
        """Name the disks that are seen on a frame."""
        return seen_on(np.asarray(self.layer().data[frame]))


def seen_on(labels: NDArray[Any]) -> list[int]:
    """Name the disks that labels, (H, W), show."""
    return [index for index, centre in enumerate(CENTRES) if labels[centre]]

"""How the work in one viewer stands."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image, Layer

from ..engine import Looking
from ..objects import SegmentedObject
from .focus import Focus
from .propagation import Progress
from .segmentation import ShownReading
from .works import Work, Works


class Situation:
    """What panels show of the image that is looked at, and of the work on it."""

    def __init__(self, viewer: ViewerModel, focus: Focus, works: Works) -> None:
        self.viewer = viewer
        self.focus = focus
        self.works = works

    @property
    def images(self) -> list[Image]:
        """Images of the viewer that can be segmented."""
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    @property
    def work(self) -> Work | None:
        """The work on the image looked at, once it has begun."""
        return self.works.of(self.focus.image)

    @property
    def prompt_layers(self) -> list[Layer]:
        """The layers that are prompted in, of all images."""
        return [
            layer
            for work in self.works
            for layer in (
                work.workspace.prompts.shapes,
                work.workspace.prompts.points,
                work.concepts.exemplars.layer,
            )
        ]

    @property
    def current(self) -> SegmentedObject | None:
        """The object that new prompts belong to."""
        return None if self.work is None else self.work.workspace.objects.current

    @property
    def starts(self) -> dict[int, list[int]]:
        """The objects prompted in the stack that is looked at, each with its prompted frames."""
        axes = self.focus.axes
        return {} if self.work is None or axes is None else self.work.propagation.starts(axes)

    def progress_of(self, thing: SegmentedObject) -> str:
        """Say on how many frames of the stack an object has a mask."""
        axes = self.focus.axes
        if self.work is None or axes is None:
            return ""
        return f"{self.work.workspace.frames_done(thing, axes)} of {axes.count}"

    @property
    def is_running(self) -> bool:
        """Whether objects are being followed."""
        return self.work is not None and self.work.propagation.is_running

    @property
    def progress(self) -> Progress | None:
        """How far the run has come, while there is one."""
        return None if self.work is None else self.work.propagation.progress

    @property
    def looking(self) -> Looking | None:
        """How far the model has come with an image, while that takes long."""
        return self.works.looking

    @property
    def score_here(self) -> float | None:
        """Score of the mask that the current object has on this frame, if it has one."""
        place = self.focus.place
        if self.current is None or place is None:
            return None
        found = self.current.results.get(place)
        return found.score if found is not None and found.area else None

    @property
    def reading(self) -> ShownReading | None:
        """Which reading of the current object is shown on this frame."""
        if self.work is None or self.current is None or self.focus.place is None:
            return None
        return self.work.segmentation.shown_reading((self.focus.place, self.current.id))

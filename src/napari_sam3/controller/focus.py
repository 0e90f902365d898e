"""Which image, stack and frame the user looks at."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal

from ..layers.axes import (
    Place,
    StackAxes,
    data_shape,
    default_stack_axis,
    split_coordinates,
    stack_axis_choices,
)
from ..layers.image_stack import visible_channels


class Focus:
    """Follows the image, the stack axis and the position in a viewer."""

    image_chosen = Signal()
    moved = Signal()  # to another frame, or along another axis

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.image: Image | None = None
        self.frame_axis: int | None = None
        viewer.dims.events.current_step.connect(self._on_viewer_moved)

    def close(self) -> None:
        """Let go of the viewer."""
        self._let_go_of_image()
        self._viewer.dims.events.current_step.disconnect(self._on_viewer_moved)

    def choose_image(self, image: Image | None) -> None:
        """Look at another image, along its most likely stack axis."""
        if image is self.image:
            return
        self._let_go_of_image()
        self.image = image
        if image is not None:
            image.events.data.connect(self._on_pixels_replaced)
        self.frame_axis = None if image is None else default_stack_axis(image)
        self.image_chosen.emit()

    def choose_frame_axis(self, axis: int | None) -> None:
        """Let the stack run along another axis of the image."""
        if axis == self.frame_axis:
            return
        self.frame_axis = axis
        self.moved.emit()

    def axis_of(self, image: Image) -> int | None:
        """Return the axis that the stack of an image runs along, whether it is looked at or not."""
        return self.frame_axis if image is self.image else default_stack_axis(image)

    @property
    def frame_axes(self) -> list[tuple[str, int]]:
        """Names and numbers of the axes that a stack of the image can run along."""
        return [] if self.image is None else stack_axis_choices(self.image)

    @property
    def shows_frame(self) -> bool:
        """Whether the viewer shows rows and columns, and not a section across frames."""
        dims = self._viewer.dims
        return set(dims.displayed) == {dims.ndim - 2, dims.ndim - 1}

    @property
    def place(self) -> Place | None:
        """Where in the image the viewer is; None without an image."""
        if self.image is None:
            return None
        point = self.image.world_to_data(self._viewer.dims.point)
        (nearest,), _ = split_coordinates([point])
        lengths = data_shape(self.image)[:-2]
        return tuple(
            min(max(index, 0), length - 1) for index, length in zip(nearest, lengths, strict=True)
        )

    @property
    def axes(self) -> StackAxes | None:
        """The stack that is looked at; None without an image."""
        if self.image is None or self.place is None:
            return None
        return StackAxes.through(self.image, self.frame_axis, self.place)

    @property
    def channels(self) -> tuple[Image, ...]:
        """The image and those that are shown with it."""
        return () if self.image is None else visible_channels(self._viewer.layers, self.image)

    def go_to(self, place: Place) -> None:
        """Show a place of the image in the viewer."""
        if self.image is None:
            return
        point = self.image.data_to_world((*place, 0, 0))
        first = self._viewer.dims.ndim - self.image.ndim
        for axis, value in enumerate(point[:-2], start=first):
            self._viewer.dims.set_point(axis, value)

    def _let_go_of_image(self) -> None:
        if self.image is not None:
            self.image.events.data.disconnect(self._on_pixels_replaced)

    def _on_pixels_replaced(self) -> None:
        if self.image is not None and self.frame_axis not in dict(self.frame_axes).values():
            self.frame_axis = default_stack_axis(self.image)
        self.moved.emit()

    def _on_viewer_moved(self) -> None:
        self.moved.emit()

"""Which image is segmented, and along which axis its stack runs."""

from __future__ import annotations

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import Widget
from napari.layers import Image
from psygnal import Signal

from ...controller import NO_IMAGE
from ..controls import allow, choice, heading, row

IMAGE_TIP = "The image to segment; visible images of the same size count as its channels."
AXIS_TIP = "The axis that objects are propagated along: z-slices or time."


class ImagePanel:
    """Two choices in a row."""

    image_selected = Signal(object)  # an Image, or None
    axis_selected = Signal(object)  # an int, or None

    def __init__(self) -> None:
        self.image = choice([], IMAGE_TIP, "image")
        self.axis = choice([], AXIS_TIP, "axis")
        self.widget: Container[Widget] = row(
            heading("Image"), self.image, Label(value="stack axis"), self.axis
        )
        self.image.changed.connect(self._on_image_changed)
        self.axis.changed.connect(self._on_axis_changed)

    def show(
        self,
        images: list[Image],
        image: Image | None,
        axes: list[tuple[str, int]],
        axis: int | None,
    ) -> None:
        """Show the images and axes to choose from, and the current ones."""
        with self.image.changed.blocked(), self.axis.changed.blocked():
            self.image.choices = [(layer.name, layer) for layer in images]
            self.image.value = image
            self.axis.choices = axes
            self.axis.value = axis
        allow(self.image, IMAGE_TIP, "" if images else NO_IMAGE)
        allow(self.axis, AXIS_TIP, "" if axes else "The image has a single frame.")

    def _on_image_changed(self, image: Image | None) -> None:
        self.image_selected.emit(image)

    def _on_axis_changed(self, axis: int | None) -> None:
        self.axis_selected.emit(axis)

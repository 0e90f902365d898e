"""Which image, stack and frame the viewer shows, and the sessions opened for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from ..engine import Contrast, EncodingProgress, Engine, Frames, Session
from ..layers import (
    StackAxes,
    contrast_key,
    contrast_of,
    data_shape,
    default_stack_axis,
    frames_of,
    split_coordinates,
    stack_axis_choices,
    visible_channels,
)
from ..values import FrameIndex


class Focus:
    """The image that is annotated, its stack axis, and the position in the viewer."""

    image_selected = Signal()
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
        """Annotate another image, along its most likely stack axis."""
        if image is self.image:
            return
        self._let_go_of_image()
        self.image = image
        if image is not None:
            image.events.data.connect(self._on_pixels_replaced)
        self.frame_axis = None if image is None else default_stack_axis(image)
        self.image_selected.emit()

    def choose_frame_axis(self, axis: int | None) -> None:
        """Let the stack run along another axis of the image."""
        if axis == self.frame_axis:
            return
        self.frame_axis = axis
        self.moved.emit()

    def axis_of(self, image: Image) -> int | None:
        """Return the axis that the stack of an image runs along, whether it is chosen or not."""
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
    def frame_index(self) -> FrameIndex | None:
        """The frame of the image that the viewer shows; None without an image."""
        if self.image is None:
            return None
        point = self.image.world_to_data(self._viewer.dims.point)
        (nearest,), _ = split_coordinates([point])
        last = np.subtract(data_shape(self.image)[:-2], 1)
        return tuple(np.clip(np.array(nearest, int), 0, last).tolist())

    @property
    def axes(self) -> StackAxes | None:
        """The stack in view; None without an image."""
        frame_index = self.frame_index
        if self.image is None or frame_index is None:
            return None
        return StackAxes.through(self.image, self.frame_axis, frame_index)

    @property
    def channels(self) -> tuple[Image, ...]:
        """The image and those that are shown with it."""
        return () if self.image is None else visible_channels(self._viewer.layers, self.image)

    def go_to(self, frame_index: FrameIndex) -> None:
        """Show a frame of the image in the viewer."""
        if self.image is None:
            return
        point = self.image.data_to_world((*frame_index, 0, 0))
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


VIEWS_KEPT = 4  # so that going back to a stack or a contrast finds its embeddings


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One stack under one contrast; a value that may enter a worker."""

    axes: StackAxes
    frames: Frames
    contrast: Contrast


class Views:
    """The stacks and contrasts that were in view last, each opened once."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[Any, ...], Frames] = OrderedDict()
        self._views: OrderedDict[tuple[str, Hashable], View] = OrderedDict()

    def of(self, layers: Iterable[Layer], image: Image, axes: StackAxes) -> View:
        """Return the stack of an image as it is displayed now, with its visible channels."""
        channels = visible_channels(layers, image)
        pixels = [id(channel.data) for channel in channels]
        stack = (tuple(pixels), axes.frame_axis, axes.position)
        frames = _known(self._frames, stack, lambda: frames_of(channels, axes))
        return _known(
            self._views,
            (frames.token, contrast_key(channels)),
            lambda: View(axes, frames, contrast_of(channels)),
        )


class Sessions:
    """The session of each view, opened once; workers open it, as that may load the model."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._lock = Lock()
        self._sessions: OrderedDict[View, Session] = OrderedDict()
        self._latest: Session | None = None  # read while the lock is held for a load

    def of(self, view: View) -> Session:
        """Return the session of a view."""
        with self._lock:
            session: Session = _known(
                self._sessions,
                view,
                lambda: self._load().open(view.frames, contrast=view.contrast),
            )
            self._latest = session
            return session

    def known(self, view: View) -> Session | None:
        """Return the session of a view if it was opened, without waiting for a model."""
        return self._sessions.get(view)

    @property
    def model_description(self) -> dict[str, str]:
        """Name and revision of the model, as far as a session was opened."""
        latest = self._latest
        return {} if latest is None else latest.model_description

    @property
    def encoding_progress(self) -> EncodingProgress | None:
        """How far the model has come with encoding an image."""
        latest = self._latest
        return None if latest is None else latest.encoding_progress

    def stop_encoding(self) -> None:
        """Stop encoding that image."""
        latest = self._latest
        if latest is not None:
            latest.stop_encoding()

    def load_with(self, load: Callable[[], Engine]) -> None:
        """Use another engine from now on."""
        with self._lock:
            self._load = load
            self._latest = None
            self._sessions.clear()

    def forget_objects(self, object_ids: Iterable[int]) -> None:
        """Drop the prompt states of objects from all sessions."""
        with self._lock:
            for session in self._sessions.values():
                for object_id in object_ids:
                    session.remove(object_id)


def _known(known: OrderedDict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    """Return what was made for a key before, or make it; the oldest is dropped."""
    if key not in known:
        known[key] = make()
    known.move_to_end(key)
    while len(known) > VIEWS_KEPT:
        known.popitem(last=False)
    return known[key]

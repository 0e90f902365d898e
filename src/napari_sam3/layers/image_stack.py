"""What is displayed of an image: its visible channels as frames with their contrast."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from ..engine import (
    SHADES,
    Blending,
    Channel,
    Contrast,
    FrameLevel,
    Frames,
    describe_contrast,
    first_frame_digest,
)
from ..storage import SessionDescription
from ..values import Box, FramesError, Geometry, is_large
from .axes import StackAxes, data_shape, default_stack_axis, geometry

_RGB = np.eye(3)


def visible_channels(layers: Iterable[Layer], image: Image) -> tuple[Image, ...]:
    """Return the image and all visible images that lie exactly on it, the lowest first.

    A colour image is complete by itself, and the chosen image counts even where it is hidden.
    """
    if image.rgb:
        return (image,)
    return tuple(
        layer
        for layer in layers
        if isinstance(layer, Image)
        and (layer is image or (layer.visible and _lies_on(layer, image)))
    ) or (image,)


def frames_of(channels: Sequence[Image], axes: StackAxes) -> Frames:
    """Open channels as a stack; a frame is read once from each of them, when it is asked for.

    Of large frames only parts are read, from the sizes that all channels are stored in.
    """
    if any(data_shape(channel) != axes.shape for channel in channels):
        raise FramesError(
            "The image is no longer the one that was opened: choose it again in the Image panel."
        )
    is_rgb = bool(channels[0].rgb)
    sizes = [_level(arrays, axes, is_rgb) for arrays in _common_sizes(channels)]
    levels = sizes if is_large(axes.shape) else sizes[:1]
    rows, cols = (slice(0, side) for side in axes.plane)
    return Frames(
        axes.count,
        axes.plane,
        3 if is_rgb else len(channels),
        lambda frame: levels[0].read(frame, rows, cols),
        is_rgb,
        levels,
    )


def contrast_of(channels: Sequence[Image]) -> Contrast:
    """Take limits, colours, gamma, opacity and blending of the channels as they are shown."""
    if channels[0].rgb:
        return _contrast_of_rgb(channels[0])
    return Contrast(tuple(_channel(layer) for layer in channels))


def session_description(
    image: Image, channels: Sequence[Image], model: Mapping[str, str]
) -> SessionDescription:
    """Describe what masks of an image are made from: its pixels, what is shown of it, a model.

    Parameters
    ----------
    image : Image
        The layer that is segmented; its first frame is read.
    channels : sequence of Image
        The layers whose contrast the model sees.
    model : mapping
        Name and revision.
    """
    shape = data_shape(image)
    units = [str(unit) for unit in image.units]
    return SessionDescription(
        shape,
        Geometry.of_layer(image.axis_labels, units, image.scale, image.translate),
        _first_frame(image),
        model,
        describe_contrast(contrast_of(channels)),
    )


def _first_frame(image: Image) -> str:
    """Return the digest of the first frame of an image; empty where it cannot be read."""
    first = (0,) * (len(data_shape(image)) - 2)
    try:
        frames = frames_of((image,), StackAxes.through(image, default_stack_axis(image), first))
        return first_frame_digest(frames)
    except FramesError:
        return ""


def contrast_key(channels: Sequence[Image]) -> Hashable:
    """Return what the contrast of channels is made from, which takes no time to compare."""
    displayed = [
        (
            tuple(layer.contrast_limits),
            layer.gamma,
            layer.opacity,
            layer.blending == "additive",
            layer.colormap.interpolation,
            layer.colormap.colors.tobytes(),
            layer.colormap.controls.tobytes(),
        )
        for layer in channels
    ]
    return tuple(displayed)


def _lies_on(layer: Image, image: Image) -> bool:
    if layer.rgb or data_shape(layer) != data_shape(image):
        return False
    here, there = geometry(layer), geometry(image)
    return all(
        np.allclose(here[name], there[name])
        for name in ("scale", "translate", "rotate", "shear", "affine")
    )


def _common_sizes(channels: Sequence[Image]) -> list[list[Any]]:
    """Return the array of every channel, for each size that all are stored in, finest first.

    A size with fewer frames, as of volumes that are halved along every axis, is left out.
    """
    pyramids = [_by_size(channel) for channel in channels]
    frame_indices = data_shape(channels[0])[:-2]
    shared = [
        size
        for size in pyramids[0]
        if size[:-2] == frame_indices and all(size in pyramid for pyramid in pyramids)
    ]
    return [[pyramid[size] for pyramid in pyramids] for size in shared]


def _by_size(channel: Image) -> dict[tuple[int, ...], Any]:
    """Return the arrays of a channel by their shapes, without the colour axis."""
    arrays = channel.data if channel.multiscale else [channel.data]
    return {tuple(int(side) for side in array.shape[: channel.ndim]): array for array in arrays}


def _level(arrays: Sequence[Any], axes: StackAxes, is_rgb: bool) -> FrameLevel:
    """Return one size of the frames, of which parts are read from the array of each channel."""

    def read(frame: int, rows: slice, cols: slice) -> NDArray[Any]:
        index = (*axes.frame_index(frame), rows, cols)
        parts = [np.asarray(array[index]) for array in arrays]
        return parts[0][..., :3] if is_rgb else np.stack(parts, axis=-1)

    rows, cols = arrays[0].shape[len(axes.shape) - 2 : len(axes.shape)]
    return FrameLevel((int(rows), int(cols)), read)


def _channel(layer: Image) -> Channel:
    colors = layer.colormap.map(np.linspace(0, 1, SHADES))[:, :3]
    return Channel(layer.contrast_limits, colors, layer.gamma, layer.opacity, _blending(layer))


def _blending(layer: Image) -> Blending:
    return "additive" if layer.blending == "additive" else "over"


def _contrast_of_rgb(layer: Image) -> Contrast:
    """Colour images are shown as they are: over the whole range of their type."""
    dtype = np.dtype(layer.dtype)
    high = float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0
    return Contrast(tuple(Channel((0.0, high), color, opacity=layer.opacity) for color in _RGB))


def visible_box(viewer: ViewerModel, image: Image) -> Box | None:
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
    return Box(int(first[0]), int(first[1]), int(last[0]), int(last[1]))

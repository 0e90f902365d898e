"""What the user sees of an image: its visible channels as frames with their contrast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from ..engine import SHADES, Blending, Channel, Contrast, Frames, FramesError
from .axes import Place, StackAxes, data_shape, geometry

_RGB = np.eye(3)


def visible_channels(layers: Iterable[Layer], image: Image) -> tuple[Image, ...]:
    """Return the image and all visible images that lie exactly on it, the lowest first.

    A colour image is complete by itself, and the chosen image counts even where it is hidden.
    """
    if image.rgb:
        return (image,)
    return tuple(
        layer for layer in layers if layer is image or (layer.visible and _lies_on(layer, image))
    ) or (image,)


def frames_of(channels: Sequence[Image], axes: StackAxes) -> Frames:
    """Open channels as a stack; a frame is read once from each of them, when it is asked for."""
    if any(data_shape(channel) != axes.shape for channel in channels):
        raise FramesError(
            "The image is no longer the one that was opened: choose it again in the Image panel."
        )
    is_rgb = bool(channels[0].rgb)
    arrays = [channel.data[0] if channel.multiscale else channel.data for channel in channels]

    def read(frame: int) -> NDArray[Any]:
        planes = [_plane(array, axes.place(frame)) for array in arrays]
        return planes[0][..., :3] if is_rgb else np.stack(planes, axis=-1)

    return Frames(axes.count, axes.plane, 3 if is_rgb else len(arrays), read, is_rgb)


def contrast_of(channels: Sequence[Image]) -> Contrast:
    """Take limits, colours, gamma, opacity and blending of the channels as they are shown."""
    if channels[0].rgb:
        return _contrast_of_rgb(channels[0])
    return Contrast(tuple(_channel(layer) for layer in channels))


def _lies_on(layer: Layer, image: Image) -> bool:
    if not isinstance(layer, Image) or layer.rgb or data_shape(layer) != data_shape(image):
        return False
    here, there = geometry(layer), geometry(image)
    return all(
        np.allclose(here[name], there[name])
        for name in ("scale", "translate", "rotate", "shear", "affine")
    )


def _plane(array: Any, place: Place) -> NDArray[Any]:
    return np.asarray(array[(*place, Ellipsis)])


def _channel(layer: Image) -> Channel:
    colors = layer.colormap.map(np.linspace(0, 1, SHADES))[:, :3]
    return Channel(layer.contrast_limits, colors, layer.gamma, layer.opacity, _blending(layer))


def _blending(layer: Image) -> Blending:
    return "additive" if layer.blending == "additive" else "over"


def _contrast_of_rgb(layer: Image) -> Contrast:
    """Colour images are shown as they are: over the whole range of their type."""
    dtype = np.dtype(layer.dtype)
    high = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    return Contrast(tuple(Channel((0.0, high), color, opacity=layer.opacity) for color in _RGB))

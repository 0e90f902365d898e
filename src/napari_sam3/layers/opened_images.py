"""An opened image file as layers, of which napari reads what is on screen."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import dask.array as da
from napari.layers import Image

from ..io import OpenedImage

_TWO = ("magenta", "green")
_MANY = ("cyan", "yellow", "magenta", "red", "green", "blue")


def layers_of(image: OpenedImage) -> list[Image]:
    """Return a layer for every channel of an image, or the one of a colour image."""
    axis = _channel_axis(image)
    levels = [_lazy(level) for level in image.levels]
    if axis is None:
        return [Image(_shown(levels), name=image.name, rgb=image.is_rgb, **_settings(image))]
    count = image.shape[axis]
    colours = cycle(("gray",) if count == 1 else _TWO if count == 2 else _MANY)
    return [
        Image(
            _shown([da.take(level, channel, axis=axis) for level in levels]),
            name=image.name if count == 1 else f"{image.name} {channel + 1}",
            colormap=colour,
            blending="additive",
            rgb=False,
            **_settings(image),
        )
        for channel, colour in zip(range(count), colours, strict=False)
    ]


def _channel_axis(image: OpenedImage) -> int | None:
    """Return the axis of the channels; the colours of a colour image are none."""
    axes = image.axes[:-1] if image.is_rgb else image.axes
    return next((axis for axis, name in enumerate(axes) if name in "cs"), None)


def _lazy(array: Any) -> da.Array:
    return da.from_array(array, chunks=getattr(array, "chunks", "auto"))


def _shown(levels: list[da.Array]) -> Any:
    """Return what a layer takes: a pyramid only where there is one."""
    return levels if len(levels) > 1 else levels[0]


def _settings(image: OpenedImage) -> dict[str, Any]:
    kept = [axis for axis, name in enumerate(image.axes) if name not in "cs"]
    return {
        "multiscale": len(image.levels) > 1,
        "axis_labels": [image.axes[axis] for axis in kept],
        "scale": [image.scale[axis] for axis in kept],
        "translate": [image.translation[axis] if image.translation else 0 for axis in kept],
        "units": [image.units[axis] for axis in kept],
    }

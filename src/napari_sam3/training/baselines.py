"""Classical methods with the methods of a model, to compare models with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import sobel, threshold_otsu
from skimage.segmentation import flood, random_walker, watershed

from ..engine.backends.base import Backend, Embedding, Packed, Prediction, own
from ..values import Candidates, Mask, Prompts
from .label_images import Labels, Pixels

Grey = npt.NDArray[np.float32]
"""(H, W) in 0..1"""
Markers = npt.NDArray[np.int32]
"""(h, w): 1 inside the object, 2 outside, 0 unknown."""
Window = tuple[slice, slice]
OutlineObject = Callable[[Grey, Prompts], Pixels]
"""Outlines an object on a grey image (H, W)."""
PropagateMask = Callable[[Grey, Pixels], Pixels]
"""Outlines the object of a mask (H, W) on the next image."""
WINDOW_REACH = 64
"""Pixels around the clicks in which the object is thought to lie."""
CLICK_RADIUS = 2.5
"""Radius of the marker of a click, in pixels."""
FLOOD_TOLERANCE = 0.2
"""How much brighter or darker than the click a flooded pixel may be; brightness is 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class GreyImage:
    """The embedding of an image by a classical method: its pixels."""

    pixels: Grey  # (H, W) in 0..1

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return self.pixels.nbytes


class ClassicalBackend(Backend):
    """Segments by rules alone.

    Parameters
    ----------
    name : str
        Of the methods together.
    outline_clicks, outline_box : callable
        Outline an object by clicks, and by a box or a mask.
    propagate_mask : callable
        Outlines an object on the next image.
    """

    device = "cpu"

    def __init__(
        self,
        name: str,
        outline_clicks: OutlineObject,
        outline_box: OutlineObject,
        propagate_mask: PropagateMask,
    ) -> None:
        self.name = name
        self.revision = name
        self._outline_clicks = outline_clicks
        self._outline_box = outline_box
        self._propagate_mask = propagate_mask

    def encode(self, image: npt.NDArray[np.float32]) -> GreyImage:
        """Take the mean of the colours, (H, W, 3)."""
        return GreyImage(image.mean(2))

    def pack(self, embedding: Embedding) -> Packed:
        """Return the grey image as an array."""
        return Packed({"pixels": own(embedding, GreyImage).pixels}, {})

    def unpack(self, packed: Packed) -> GreyImage:
        """Return the grey image that was packed."""
        return GreyImage(packed.arrays["pixels"])

    def segment(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        """Outline every object afresh."""
        grey = own(embedding, GreyImage).pixels
        return [self._outlined(grey, each) for each in prompts]

    def everything(self, embedding: Embedding) -> Candidates:
        """Split what is brighter or darker than Otsu's threshold into touching objects."""
        labels = split_foreground(own(embedding, GreyImage).pixels)
        boxes = [box for box in ndimage.find_objects(labels) if box is not None]
        values = [value for value in range(1, labels.max() + 1) if (labels == value).any()]
        return Candidates(
            (labels.shape[0], labels.shape[1]),
            np.array([[r.start, c.start, r.stop, c.stop] for r, c in boxes], int).reshape(-1, 4),
            tuple(labels[box] == value for value, box in zip(values, boxes, strict=True)),
            np.ones(len(boxes)),
        )

    def update_memory(
        self, memory: Pixels | None, embedding: Embedding, prediction: Prediction
    ) -> Pixels:
        """Keep nothing but the mask."""
        return prediction.pixels

    def propagate(self, embedding: Embedding, memories: Sequence[Pixels]) -> list[Prediction]:
        """Outline every object near its last mask."""
        grey = own(embedding, GreyImage).pixels
        return [_prediction(self._propagate_mask(grey, mask)) for mask in memories]

    def _outlined(self, grey: Grey, prompts: Prompts) -> Prediction:
        by_clicks = prompts.mask is None and not len(prompts.boxes)
        outline = self._outline_clicks if by_clicks else self._outline_box
        return _prediction(outline(grey, prompts))


def classical_backends() -> list[ClassicalBackend]:
    """Return all classical methods."""
    return [
        ClassicalBackend("watershed", click_watershed, box_watershed, propagate_watershed),
        ClassicalBackend("random walker", click_diffusion, box_diffusion, keep_mask),
        ClassicalBackend("Otsu", click_otsu, box_otsu, keep_mask),
        ClassicalBackend("flood fill, ellipse", click_flood, box_ellipse, keep_mask),
    ]


def click_watershed(grey: Grey, prompts: Prompts) -> Pixels:
    """Flood the gradient from the clicks and from the rim of a window."""
    window = _around_clicks(prompts, grey.shape)
    flooded = watershed(sobel(grey[window]), _click_markers(prompts, window))
    return _on_frame(flooded == 1, window, grey.shape)


def click_diffusion(grey: Grey, prompts: Prompts) -> Pixels:
    """Segment by diffusion from the clicks and from the rim of a window (Grady 2006)."""
    window = _around_clicks(prompts, grey.shape)
    return _on_frame(_diffused(grey[window], _click_markers(prompts, window)), window, grey.shape)


def click_flood(grey: Grey, prompts: Prompts) -> Pixels:
    """Flood the pixels around each positive click that are as bright."""
    smooth = ndimage.gaussian_filter(grey, 1)
    mask = np.zeros(grey.shape, bool)
    for row, col in _pixels(prompts.points[prompts.positive], grey.shape):
        mask |= flood(smooth, (int(row), int(col)), tolerance=FLOOD_TOLERANCE)
    return mask


def click_otsu(grey: Grey, prompts: Prompts) -> Pixels:
    """Take the clicked component of a window, on its side of Otsu's threshold."""
    window = _around_clicks(prompts, grey.shape)
    smooth = ndimage.gaussian_filter(grey[window], 1)
    bright = smooth > _threshold(smooth)
    clicks = _pixels(prompts.points[prompts.positive], grey.shape) - _corner(window)
    side = bright == bright[tuple(clicks[0])]
    components, _ = ndimage.label(side)
    return _on_frame(components == components[tuple(clicks[0])], window, grey.shape)


def box_watershed(grey: Grey, prompts: Prompts) -> Pixels:
    """Flood the gradient from the middle of the box and from around it."""
    window, markers = _box_markers(prompts, grey.shape)
    return _on_frame(watershed(sobel(grey[window]), markers) == 1, window, grey.shape)


def box_diffusion(grey: Grey, prompts: Prompts) -> Pixels:
    """Segment by diffusion from the middle of the box and from around it (Grady 2006)."""
    window, markers = _box_markers(prompts, grey.shape)
    return _on_frame(_diffused(grey[window], markers), window, grey.shape)


def box_otsu(grey: Grey, prompts: Prompts) -> Pixels:
    """Take the side of Otsu's threshold that fills the middle of the box."""
    window = _box(prompts, grey.shape)
    smooth = ndimage.gaussian_filter(grey[window], 1)
    bright = smooth > _threshold(smooth)
    middle = _ellipse(window, grey.shape, 0.5)[window]
    return _on_frame(bright == (bright[middle].mean() > 0.5), window, grey.shape)


def box_ellipse(grey: Grey, prompts: Prompts) -> Pixels:
    """Draw the ellipse that fits into the box."""
    return _ellipse(_box(prompts, grey.shape), grey.shape)


def keep_mask(grey: Grey, mask: Pixels) -> Pixels:
    """Assume that nothing moves."""
    return mask


def propagate_watershed(grey: Grey, mask: Pixels) -> Pixels:
    """Flood from the middle of the last mask and from well outside it."""
    depth = ndimage.distance_transform_edt(mask)
    radius = max(float(depth.max()), 1.0)
    away = ndimage.distance_transform_edt(~mask)
    markers = np.where(depth >= radius / 2, 1, 0) + np.where(away > radius / 2 + 2, 2, 0)
    return np.asarray(watershed(sobel(grey), markers) == 1)


def split_foreground(grey: Grey) -> Labels:
    """Label the rarer side of Otsu's threshold, (H, W), split where it is narrow."""
    smooth = ndimage.gaussian_filter(grey, 1)
    inside = smooth > _threshold(smooth)
    inside = ~inside if inside.mean() > 0.5 else inside
    inside = ndimage.binary_fill_holes(ndimage.binary_opening(inside))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 1)
    markers = np.zeros(grey.shape, np.int32)
    peaks = peak_local_max(depth, min_distance=5, labels=inside.astype(np.int32))
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-depth, markers, mask=inside), np.int32)


def _diffused(grey: Grey, markers: Markers) -> Pixels:
    if np.ptp(grey) == 0:
        return markers == 1
    return np.asarray(random_walker(grey, markers, beta=300, mode="cg_j", prob_tol=1) == 1)


def _click_markers(prompts: Prompts, window: Window) -> Markers:
    """Mark clicks as spots, and the rim of the window as outside."""
    markers = _rim_markers(window)
    rows, cols = np.ogrid[window]
    for (row, col), inside in zip(prompts.points, prompts.positive, strict=True):
        markers[(rows - row) ** 2 + (cols - col) ** 2 <= CLICK_RADIUS**2] = 1 if inside else 2
    return markers


def _box_markers(prompts: Prompts, shape: tuple[int, ...]) -> tuple[Window, Markers]:
    """Mark the middle of the box as inside, its surroundings as outside."""
    box = _box(prompts, shape)
    window = _widened(box, 0.2, shape)
    markers = np.where(_on_frame(np.ones(1, bool), box, shape)[window], 0, 2).astype(np.int32)
    markers[_ellipse(box, shape, 0.5)[window]] = 1
    return window, markers


def _rim_markers(window: Window) -> Markers:
    sides = [part.stop - part.start for part in window]
    markers = np.full(sides, 2, np.int32)
    markers[1:-1, 1:-1] = 0
    return markers


def _around_clicks(prompts: Prompts, shape: tuple[int, ...]) -> Window:
    clicks = _pixels(prompts.points[prompts.positive], shape)
    first = np.maximum(clicks.min(0) - WINDOW_REACH, 0)
    last = np.minimum(clicks.max(0) + WINDOW_REACH + 1, shape)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


def _box(prompts: Prompts, shape: tuple[int, ...]) -> Window:
    """Return the pixels in the first box, or in that around the mask; at least a single pixel."""
    if not len(prompts.boxes):
        rows, cols = ndimage.find_objects(np.asarray(prompts.mask).astype(np.int32))[0]
        return rows, cols
    first = np.clip(np.ceil(prompts.boxes[0, :2]), 0, np.array(shape) - 1).astype(int)
    last = np.clip(np.floor(prompts.boxes[0, 2:]) + 1, first + 1, shape).astype(int)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


def _widened(window: Window, share: float, shape: tuple[int, ...]) -> Window:
    parts = []
    for part, size in zip(window, shape, strict=True):
        more = int(np.ceil((part.stop - part.start) * share)) + 1
        parts.append(slice(max(part.start - more, 0), min(part.stop + more, size)))
    return parts[0], parts[1]


def _ellipse(window: Window, shape: tuple[int, ...], share: float = 1.0) -> Pixels:
    """Draw an ellipse (H, W) that fills a share of both sides of a window."""
    axes = []
    for part, size in zip(window, shape, strict=True):
        middle, half = (part.start + part.stop - 1) / 2, (part.stop - part.start) / 2
        axes.append((np.arange(size) - middle) / max(half * share, 0.5))
    return np.asarray(axes[0][:, None] ** 2 + axes[1] ** 2 <= 1)


def _pixels(points: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return np.clip(np.rint(points), 0, np.array(shape) - 1).astype(np.int64)


def _corner(window: Window) -> npt.NDArray[np.int64]:
    return np.array([part.start for part in window])


def _on_frame(mask: Pixels, window: Window, shape: tuple[int, ...]) -> Pixels:
    whole = np.zeros(shape, bool)
    whole[window] = mask
    return whole


def _threshold(grey: Grey) -> float:
    return float(threshold_otsu(grey)) if np.ptp(grey) > 0 else float(grey.flat[0])


def _prediction(mask: Pixels) -> Prediction:
    return Prediction((Mask.of(mask),))

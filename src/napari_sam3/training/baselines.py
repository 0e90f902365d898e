"""Classical methods behind the face of a model, to measure models against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import sobel, threshold_otsu
from skimage.segmentation import flood, random_walker, watershed

from ..engine.backends.base import Embedding, Packed, Prediction, reads_no_exemplars
from ..values import Appearance, Box, Candidates, Concept, ModelError, Prompts, Reading

Seeds = npt.NDArray[np.int32]
"""(h, w): 1 inside the object, 2 outside, 0 unknown."""
Window = tuple[slice, slice]

REACH = 64
"""Clicks are thought to mean what is so near, in pixels."""
SPOT = 2.5
"""Radius of a click, in pixels."""
TOLERANCE = 0.2
"""How much brighter or darker than the click a flooded pixel may be; brightness is 0..1."""


def click_watershed(grey: Grey, prompts: Prompts) -> Mask:
    """Flood the gradient from the clicks and from the rim of a window."""
    window = _around_clicks(prompts, grey.shape)
    flooded = watershed(sobel(grey[window]), _click_seeds(prompts, window))
    return _placed(flooded == 1, window, grey.shape)


def click_random_walker(grey: Grey, prompts: Prompts) -> Mask:
    """Let random walkers choose between the clicks and the rim of a window."""
    window = _around_clicks(prompts, grey.shape)
    return _placed(_walked(grey[window], _click_seeds(prompts, window)), window, grey.shape)


def click_flood(grey: Grey, prompts: Prompts) -> Mask:
    """Flood from each positive click what is as bright as it is."""
    smooth = ndimage.gaussian_filter(grey, 1)
    mask = np.zeros(grey.shape, bool)
    for row, col in _pixels(prompts.points[prompts.positive], grey.shape):
        mask |= flood(smooth, (int(row), int(col)), tolerance=TOLERANCE)
    return mask


def click_otsu(grey: Grey, prompts: Prompts) -> Mask:
    """Take the piece of a window, on its side of Otsu's threshold, that was clicked."""
    window = _around_clicks(prompts, grey.shape)
    smooth = ndimage.gaussian_filter(grey[window], 1)
    bright = smooth > _threshold(smooth)
    clicks = _pixels(prompts.points[prompts.positive], grey.shape) - _corner(window)
    side = bright == bright[tuple(clicks[0])]
    pieces, _ = ndimage.label(side)
    return _placed(pieces == pieces[tuple(clicks[0])], window, grey.shape)


def box_ellipse(grey: Grey, prompts: Prompts) -> Mask:
    """Draw the ellipse that fits into the box."""
    return _ellipse(_box(prompts, grey.shape), grey.shape)


def box_otsu(grey: Grey, prompts: Prompts) -> Mask:
    """Take the side of Otsu's threshold that fills the middle of the box."""
    window = _box(prompts, grey.shape)
    smooth = ndimage.gaussian_filter(grey[window], 1)
    bright = smooth > _threshold(smooth)
    middle = _ellipse(window, grey.shape, 0.5)[window]
    return _placed(bright == (bright[middle].mean() > 0.5), window, grey.shape)


def box_watershed(grey: Grey, prompts: Prompts) -> Mask:
    """Flood the gradient from the middle of the box and from around it."""
    window, seeds = _box_seeds(prompts, grey.shape)
    return _placed(watershed(sobel(grey[window]), seeds) == 1, window, grey.shape)


def box_random_walker(grey: Grey, prompts: Prompts) -> Mask:
    """Let random walkers choose between the middle of the box and around it."""
    window, seeds = _box_seeds(prompts, grey.shape)
    return _placed(_walked(grey[window], seeds), window, grey.shape)


def _walked(grey: Grey, seeds: Seeds) -> Mask:
    if np.ptp(grey) == 0:
        return seeds == 1
    return np.asarray(random_walker(grey, seeds, beta=300, mode="cg_j", prob_tol=1) == 1)


def _click_seeds(prompts: Prompts, window: Window) -> Seeds:
    """Mark clicks as spots, and the rim of the window as outside."""
    seeds = _rimmed(window)
    rows, cols = np.ogrid[window]
    for (row, col), inside in zip(prompts.points, prompts.positive, strict=True):
        seeds[(rows - row) ** 2 + (cols - col) ** 2 <= SPOT**2] = 1 if inside else 2
    return seeds


def _box_seeds(prompts: Prompts, shape: tuple[int, ...]) -> tuple[Window, Seeds]:
    """Mark the middle of the box as inside, what is around it as outside."""
    box = _box(prompts, shape)
    window = _widened(box, 0.2, shape)
    seeds = np.where(_placed(np.ones(1, bool), box, shape)[window], 0, 2).astype(np.int32)
    seeds[_ellipse(box, shape, 0.5)[window]] = 1
    return window, seeds


def _rimmed(window: Window) -> Seeds:
    sides = [part.stop - part.start for part in window]
    seeds = np.full(sides, 2, np.int32)
    seeds[1:-1, 1:-1] = 0
    return seeds


def _around_clicks(prompts: Prompts, shape: tuple[int, ...]) -> Window:
    clicks = _pixels(prompts.points[prompts.positive], shape)
    first = np.maximum(clicks.min(0) - REACH, 0)
    last = np.minimum(clicks.max(0) + REACH + 1, shape)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


def _box(prompts: Prompts, shape: tuple[int, ...]) -> Window:
    """Return the pixels in the first box, or in the one around the mask; at least one."""
    if not len(prompts.boxes):
        found = ndimage.find_objects(np.asarray(prompts.mask).astype(np.int32))[0]
        return found[0], found[1]
    first = np.clip(np.ceil(prompts.boxes[0, :2]), 0, np.array(shape) - 1).astype(int)
    last = np.clip(np.floor(prompts.boxes[0, 2:]) + 1, first + 1, shape).astype(int)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


def _widened(window: Window, share: float, shape: tuple[int, ...]) -> Window:
    parts = []
    for part, size in zip(window, shape, strict=True):
        more = int(np.ceil((part.stop - part.start) * share)) + 1
        parts.append(slice(max(part.start - more, 0), min(part.stop + more, size)))
    return parts[0], parts[1]


def _ellipse(window: Window, shape: tuple[int, ...], share: float = 1.0) -> Mask:
    """Draw an ellipse (H, W) that fills so much of both sides of a window."""
    axes = []
    for part, size in zip(window, shape, strict=True):
        middle, half = (part.start + part.stop - 1) / 2, (part.stop - part.start) / 2
        axes.append((np.arange(size) - middle) / max(half * share, 0.5))
    return np.asarray(axes[0][:, None] ** 2 + axes[1] ** 2 <= 1)


def _pixels(points: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return np.clip(np.rint(points), 0, np.array(shape) - 1).astype(np.int64)


def _corner(window: Window) -> npt.NDArray[np.int64]:
    return np.array([part.start for part in window])


def _placed(mask: Mask, window: Window, shape: tuple[int, ...]) -> Mask:
    whole = np.zeros(shape, bool)
    whole[window] = mask
    return whole


Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Outline = Callable[[Grey, Prompts], Mask]
"""Outlines one object on a grey image (H, W)."""
Follow = Callable[[Grey, Mask], Mask]
"""Finds the object of a mask (H, W) on the next image."""


@dataclass(frozen=True, slots=True, eq=False)
class GreyImage:
    """All that a classical method knows about an image."""

    pixels: Grey  # (H, W) in 0..1

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return self.pixels.nbytes


class ClassicalBackend:
    """Answers as a model does, by rules alone. The methods are those of `Backend`.

    Parameters
    ----------
    name : str
        Of the methods together.
    outline_clicks, outline_box : callable
        Outline an object by clicks, and by a box or a mask.
    follow_mask : callable
        Finds an object on the next image.
    """

    device = "cpu"
    reads_text = False
    reads_exemplars = False

    def __init__(
        self, name: str, outline_clicks: Outline, outline_box: Outline, propagate_mask: Follow
    ) -> None:
        self.name = name
        self.revision = name
        self._outline_clicks = outline_clicks
        self._outline_box = outline_box
        self._propagate_mask = propagate_mask

    def encode(self, image: npt.NDArray[np.float32]) -> GreyImage:
        """Take the mean of the colours, (H, W, 3)."""
        return GreyImage(image.mean(2))

    def encode_batch(self, images: Sequence[npt.NDArray[np.float32]]) -> list[GreyImage]:
        """Take the mean of the colours of several images, each (H, W, 3)."""
        return [self.encode(image) for image in images]

    def pack(self, embedding: Embedding) -> Packed:
        """Return the grey image as an array."""
        return Packed({"pixels": _grey(embedding)}, {})

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
        return [self._outlined(_grey(embedding), one) for one in prompts]

    def everything(self, embedding: Embedding) -> Candidates:
        """Split what is brighter or darker than Otsu's threshold into touching objects."""
        labels = split_foreground(_grey(embedding))
        places = [place for place in ndimage.find_objects(labels) if place is not None]
        values = [value for value in range(1, labels.max() + 1) if (labels == value).any()]
        return Candidates(
            (labels.shape[0], labels.shape[1]),
            np.array([[r.start, c.start, r.stop, c.stop] for r, c in places], int).reshape(-1, 4),
            tuple(labels[place] == value for value, place in zip(values, places, strict=True)),
            np.ones(len(places)),
        )

    def find(self, embedding: Embedding, concept: Concept) -> Candidates:
        """Refuse: no classical method reads texts or exemplars."""
        raise reads_no_exemplars(self.name)

    def appearance(self, embedding: Embedding, box: Box) -> Appearance:
        """Refuse: no classical method is shown exemplars."""
        raise reads_no_exemplars(self.name)

    def update_memory(self, track: Mask | None, embedding: Embedding, answer: Prediction) -> Mask:
        """Remember nothing but the mask."""
        return answer.pixels

    def propagate(self, embedding: Embedding, tracks: Sequence[Mask]) -> list[Prediction]:
        """Find every object near its last mask."""
        return [_answer(self._propagate_mask(_grey(embedding), mask)) for mask in tracks]

    def _outlined(self, grey: Grey, prompts: Prompts) -> Prediction:
        by_clicks = prompts.mask is None and not len(prompts.boxes)
        outline = self._outline_clicks if by_clicks else self._outline_box
        return _answer(outline(grey, prompts))


def baselines() -> list[ClassicalBackend]:
    """Return all classical methods."""
    return [
        ClassicalBackend("watershed", click_watershed, box_watershed, propagate_watershed),
        ClassicalBackend("random walker", click_random_walker, box_random_walker, keep_mask),
        ClassicalBackend("Otsu", click_otsu, box_otsu, keep_mask),
        ClassicalBackend("flood fill, ellipse", click_flood, box_ellipse, keep_mask),
    ]


def keep_mask(grey: Grey, mask: Mask) -> Mask:
    """Assume that nothing moves."""
    return mask


def propagate_watershed(grey: Grey, mask: Mask) -> Mask:
    """Flood from the middle of the last mask and from well outside it."""
    depth = ndimage.distance_transform_edt(mask)
    radius = max(float(depth.max()), 1.0)
    away = ndimage.distance_transform_edt(~mask)
    seeds = np.where(depth >= radius / 2, 1, 0) + np.where(away > radius / 2 + 2, 2, 0)
    return np.asarray(watershed(sobel(grey), seeds) == 1)


def split_foreground(grey: Grey) -> npt.NDArray[np.int32]:
    """Label the rarer side of Otsu's threshold, (H, W), split where it is narrow."""
    smooth = ndimage.gaussian_filter(grey, 1)
    inside = smooth > _threshold(smooth)
    inside = ~inside if inside.mean() > 0.5 else inside
    inside = ndimage.binary_fill_holes(ndimage.binary_opening(inside))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 1)
    seeds = np.zeros(grey.shape, np.int32)
    peaks = peak_local_max(depth, min_distance=5, labels=inside.astype(np.int32))
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-depth, seeds, mask=inside), np.int32)


def _threshold(grey: Grey) -> float:
    return float(threshold_otsu(grey)) if np.ptp(grey) > 0 else float(grey.flat[0])


def _grey(embedding: Embedding) -> Grey:
    if not isinstance(embedding, GreyImage):
        raise ModelError("This image was embedded by another model: embed it again.")
    return embedding.pixels


def _answer(mask: Mask) -> Prediction:
    return Prediction((Reading("whole", mask, 1.0),))

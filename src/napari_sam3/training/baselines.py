"""Classical methods behind the face of a model, to measure models against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import sobel, threshold_otsu
from skimage.segmentation import watershed

from napari_sam3.engine import Candidates, ModelError, Prompts, Reading
from napari_sam3.engine.backend import Answer, Embedding, reads_no_exemplars
from napari_sam3.engine.cache.packing import Packed
from napari_sam3.engine.finding.concepts import Concept
from napari_sam3.engine.finding.exemplars import Appearance, Box
from napari_sam3.training.outlining import (
    box_ellipse,
    box_otsu,
    box_walker,
    box_watershed,
    click_flood,
    click_otsu,
    click_walker,
    click_watershed,
)

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
        self, name: str, outline_clicks: Outline, outline_box: Outline, follow_mask: Follow
    ) -> None:
        self.name = name
        self.revision = name
        self._outline_clicks = outline_clicks
        self._outline_box = outline_box
        self._follow_mask = follow_mask

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
        previous: Sequence[Answer | None],
    ) -> list[Answer]:
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

    def remember(self, track: Mask | None, embedding: Embedding, answer: Answer) -> Mask:
        """Remember nothing but the mask."""
        return answer.pixels

    def follow(self, embedding: Embedding, tracks: Sequence[Mask]) -> list[Answer]:
        """Find every object near its last mask."""
        return [_answer(self._follow_mask(_grey(embedding), mask)) for mask in tracks]

    def _outlined(self, grey: Grey, prompts: Prompts) -> Answer:
        by_clicks = prompts.mask is None and not len(prompts.boxes)
        outline = self._outline_clicks if by_clicks else self._outline_box
        return _answer(outline(grey, prompts))


def baselines() -> list[ClassicalBackend]:
    """Return all classical methods."""
    return [
        ClassicalBackend("watershed", click_watershed, box_watershed, follow_watershed),
        ClassicalBackend("random walker", click_walker, box_walker, keep_mask),
        ClassicalBackend("Otsu", click_otsu, box_otsu, keep_mask),
        ClassicalBackend("flood fill, ellipse", click_flood, box_ellipse, keep_mask),
    ]


def keep_mask(grey: Grey, mask: Mask) -> Mask:
    """Assume that nothing moves."""
    return mask


def follow_watershed(grey: Grey, mask: Mask) -> Mask:
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


def _answer(mask: Mask) -> Answer:
    return Answer((Reading("whole", mask, 1.0),))

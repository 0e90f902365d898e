"""A model that needs no weights: it draws disks around positive points."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam3.engine.backends.base import Backend, Packed, Prediction
from napari_sam3.values.candidates import Appearance, Candidates, Concept, Corners
from napari_sam3.values.masks import named_hypotheses
from napari_sam3.values.prompts import Prompts
from tests.masks import mask_of

Pixels = NDArray[np.bool_]
SIZES = (1.0, 0.7, 0.4)
SCORES = (0.9, 0.8, 0.7)


@dataclass(frozen=True, slots=True, eq=False)
class DiskEmbedding:
    """The brightness of an image, (H, W)."""

    grey: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        return self.grey.nbytes


@dataclass
class DiskBackend(Backend):
    """Predicts at once, counts its calls and keeps the prompts.

    Positive points are disks of `radius`, boxes are ellipses, masks are taken as they are, and
    the disks of negative points are cut out. The alternatives have 0.7 and 0.4 of the size.
    Objects are propagated to the region brighter than `bright` whose centre is nearest, and are
    gone when it is farther than `reach`. While `gate` is cleared, every call waits.
    """

    radius: float = 6
    reach: float = 15
    bright: float = 0.5
    name: str = "disks"
    revision: str = "1"
    device: str = "cpu"
    reads_text: bool = False
    reads_exemplars: bool = False
    encoded: int = 0
    packed: int = 0
    segmented: int = 0
    propagated: int = 0
    prompts: list[Prompts] = field(default_factory=list)
    refined: list[Prediction | None] = field(default_factory=list)
    concepts: list[Concept] = field(default_factory=list)
    images: list[tuple[int, ...]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        self.gate.wait(10)
        self.encoded += 1
        self.images.append(image.shape)
        return DiskEmbedding(image.mean(axis=2))

    def pack(self, embedding: DiskEmbedding) -> Packed:
        self.packed += 1
        return Packed({"grey": embedding.grey}, {})

    def unpack(self, packed: Packed) -> DiskEmbedding:
        return DiskEmbedding(packed.arrays["grey"])

    def segment(
        self,
        embedding: DiskEmbedding,
        prompts: Sequence[Prompts],
        previous: Sequence[Prediction | None],
    ) -> list[Prediction]:
        self.gate.wait(10)
        self.segmented += 1
        self.prompts.extend(prompts)
        self.refined.extend(previous)
        return [self._prompted(prompt, embedding.grey.shape) for prompt in prompts]

    def everything(self, embedding: DiskEmbedding) -> Candidates:
        regions, count = ndimage.label(embedding.grey > self.bright)
        slices = ndimage.find_objects(regions)
        boxes = [[rows.start, cols.start, rows.stop, cols.stop] for rows, cols in slices]
        masks = tuple(regions[inside] == value for value, inside in enumerate(slices, 1))
        scores = np.linspace(0.9, 0.3, count)
        return Candidates(
            embedding.grey.shape, np.array(boxes, np.int64).reshape(-1, 4), masks, scores
        )

    def find(self, embedding: DiskEmbedding, concept: Concept) -> Candidates:
        self.concepts.append(concept)
        return self.everything(embedding)

    def appearance(self, embedding: DiskEmbedding, box: Corners) -> Appearance:
        inside = Prompts(boxes=[box]).boxes[0].round().astype(int)
        return {"grey": embedding.grey[inside[0] : inside[2], inside[1] : inside[3]]}

    def update_memory(
        self, memory: tuple[float, float] | None, embedding: DiskEmbedding, prediction: Prediction
    ) -> tuple[float, float]:
        row, col = ndimage.center_of_mass(prediction.pixels)
        return float(row), float(col)

    def propagate(
        self, embedding: DiskEmbedding, memories: Sequence[tuple[float, float]]
    ) -> list[Prediction]:
        self.gate.wait(10)
        self.propagated += 1
        regions, count = ndimage.label(embedding.grey > self.bright)
        centres = np.array(ndimage.center_of_mass(regions > 0, regions, range(1, count + 1)))
        return [self._nearest(regions, centres.reshape(-1, 2), memory) for memory in memories]

    def _nearest(
        self, regions: NDArray[np.int32], centres: NDArray[np.float64], memory: tuple[float, float]
    ) -> Prediction:
        distances = np.hypot(*(centres - memory).T)
        if not len(distances) or distances.min() > self.reach:
            return Prediction(
                named_hypotheses([mask_of(np.zeros(regions.shape, bool), 0.1)]), presence=0.1
            )
        return Prediction(named_hypotheses([mask_of(regions == distances.argmin() + 1, 0.9)]))

    def _prompted(self, prompts: Prompts, shape: tuple[int, int]) -> Prediction:
        masks = [self._drawn(prompts, shape, size) for size in SIZES]
        return Prediction(
            named_hypotheses(
                [mask_of(mask, score) for mask, score in zip(masks, SCORES, strict=True)]
            )
        )

    def _drawn(self, prompts: Prompts, shape: tuple[int, int], size: float) -> Pixels:
        drawn = np.zeros(shape, bool)
        for box in prompts.boxes:
            centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
            drawn |= ellipse(shape, centre, half * size)
        if prompts.mask is not None:
            drawn |= prompts.mask
        for point in prompts.points[prompts.positive]:
            drawn |= ellipse(shape, point, (self.radius * size,) * 2)
        for point in prompts.points[~prompts.positive]:
            drawn &= ~ellipse(shape, point, (self.radius,) * 2)
        return drawn


def ellipse(shape: tuple[int, int], centre: Sequence[float], half: Sequence[float]) -> Pixels:
    """Fill an ellipse of these half axes, (H, W)."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return ((rows - centre[0]) / half[0]) ** 2 + ((cols - centre[1]) / half[1]) ** 2 <= 1


def disk_frames(centres: Sequence[Sequence[float]], shape: tuple[int, int] = (64, 64)) -> Pixels:
    """Draw a stack, (F, H, W) uint8, of a bright disk that visits these centres."""
    frames = [ellipse(shape, centre, (6, 6)) for centre in centres]
    return np.array(frames, np.uint8) * 200 + 20

"""The memory bank of a propagated object, and its masks on the frames that come next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ....values import Mask, Prompts
from ..base import Prediction
from .decoder_queries import (
    PLANE_SIDE,
    DecoderOutput,
    DecoderQuery,
    decode_objects,
    decode_queries,
)
from .feature_pyramid import ZOOM, Crop, FeaturePyramid
from .multimask_output import distinct_masks, prediction_of
from .network import COARSE_STRIDE, Memory, Network
from .prompt_encoder import TINY_SIZE, crops_around, encode_prompts, halved, mask_extent

UNFADED_SHARE = 0.5
"""An object that keeps this share of its first contrast has not faded."""
FADED_PENALTY = 6.0
"""How much speaks against an object that has lost all contrast, in logits."""
REVERSED_SHARE = -0.5
"""An object whose contrast is below this share has not faded: it is dark now and was bright, or
the reverse."""
LEAST_CONTRAST = 0.04
"""A contrast below this says nothing about an object; brightness is 0..1."""
CLEAR_CONTRAST = 0.8
"""Nor does a contrast below this share of the deviations inside and around the object."""
FITTING_IOU = 0.75
"""Latest masks that are expected to overlap the object by more than this speak for it."""
FIT_WEIGHT = 10.0
"""How much they do, in logits per overlap of 1."""
LATEST_WEIGHT = 0.5
"""Weight of the last frame in that expectation; the older, the less."""
LEAST_DOUBT = 1e-4
"""The network is never surer than this, or less sure, that an object is there."""
MARGINS = np.arange(0, 2.1, 0.25, dtype=np.float32)
"""How much farther out than the network does a first mask may be drawn, in logits."""
RING = 3
"""Width of the surroundings that an object is compared with, in cells of the prompt planes."""


@dataclass(frozen=True, slots=True, eq=False)
class MemoryBank:
    """What is kept of one object: the last frame it was on, and the frame it was outlined on."""

    crop: Crop  # around the object on the last frame
    coarse: Tensor  # (1, 64, 28, 28) float16 features of that frame
    mask: NDArray[np.float32]  # (112, 112) share of each pixel of the crop inside the object
    first: Mapping[float, Memory]  # of the frame it was outlined on, by scale; in half precision
    contrast: float  # brightness inside minus around it, on the first frame; 0 if that is unclear
    margin: float = 0.0  # added to logits, so that outlines lie as far out as the first one
    trust: float = 1.0  # how well its latest masks are expected to fit, 0..1

    @property
    def cells(self) -> NDArray[np.float32]:
        """Share of each cell of the prompt planes inside the object, (56, 56)."""
        return halved(self.mask)


def updated_memory(
    network: Network, memory: MemoryBank | None, pyramid: FeaturePyramid, mask: Mask
) -> MemoryBank:
    """Return the memory of an object after a frame, or a new memory where it is outlined."""
    pixels = mask.pixels
    crop = crops_around(mask_extent(pixels), pyramid)[0]
    coarse = pyramid.cut_crops(network, [crop]).coarse
    cropped = crop.cut_mask(pixels)
    if memory is not None:
        trust = _latest_trust(memory, mask.score)
        return replace(memory, crop=crop, coarse=coarse, mask=cropped, trust=trust)
    first = _first_memories(network, pixels, crop.scale, pyramid)
    started = MemoryBank(crop, coarse, cropped, first, _first_contrast(cropped, crop, pyramid))
    return replace(started, margin=_first_margin(network, started, pyramid))


def predict_propagated(
    network: Network, pyramid: FeaturePyramid, memories: Sequence[MemoryBank]
) -> list[Prediction]:
    """Segment propagated objects on the next image."""
    outputs = decode_objects(network, pyramid, [[memory_query(memory)] for memory in memories])
    return [
        _propagated(_most_similar(with_margin(own, memory), memory), memory, pyramid)
        for own, memory in zip(outputs, memories, strict=True)
    ]


def memory_query(memory: MemoryBank) -> DecoderQuery:
    """Return the query for an object on the next frame, around where it was last."""
    scale = min(memory.first, key=lambda scale: abs(np.log(scale / memory.crop.scale)))
    last = _encode_memory(memory.coarse, memory.mask)
    planes = encode_prompts(mask=memory.mask)
    return DecoderQuery(memory.crop, planes, last, memory.first[scale])


def with_margin(outputs: Sequence[DecoderOutput], memory: MemoryBank) -> list[DecoderOutput]:
    """Move the outlines of outputs as far out as the first mask of an object was drawn.

    People outline a cell with its halo or without. A network that predicts it smaller would take
    off a little more on every frame, since each mask is the prompt for the next frame.
    """
    margin = np.float32(memory.margin)
    return [replace(output, logits=output.logits + margin) for output in outputs]


def presence_of(output: DecoderOutput, memory: MemoryBank, pyramid: FeaturePyramid) -> float:
    """Return how sure it is that an output shows the propagated object, 0..1.

    What the network predicts counts, and how well the latest masks fit: a poor fit on one frame is
    no end, for cells blur and come back. What fades against its surroundings needs more evidence.
    """
    inside = output.logits > 0
    if not inside.any():
        return 0.0
    share = np.clip(output.presence, LEAST_DOUBT, 1 - LEAST_DOUBT)
    fit = _latest_trust(memory, output.score) - FITTING_IOU
    evidence = np.log(share / (1 - share)) + FIT_WEIGHT * fit
    if memory.contrast:
        left = contrast_of(inside, output.crop, pyramid) / memory.contrast
        fading = 1 - np.clip(left, 0, UNFADED_SHARE) / UNFADED_SHARE
        evidence -= FADED_PENALTY * fading * (left >= REVERSED_SHARE)
    return float(1 / (1 + np.exp(-evidence)))


def contrast_of(inside: NDArray[np.bool_], crop: Crop, pyramid: FeaturePyramid) -> float:
    """Return the brightness inside a mask (56, 56) of a crop minus that around it."""
    within, around = _brightness(inside, crop, pyramid)
    return float(within.mean() - around.mean()) if within.size and around.size else 0.0


def _propagated(
    outputs: Sequence[DecoderOutput], memory: MemoryBank, pyramid: FeaturePyramid
) -> Prediction:
    presence = presence_of(outputs[0], memory, pyramid)
    if presence < 0.5:
        return Prediction((Mask.absent(pyramid.shape),), presence)
    drawn = distinct_masks(outputs, Prompts(), pyramid.shape)
    prediction = prediction_of(drawn, [output.score for output, _ in drawn])
    most_similar_first = sorted(
        prediction.hypotheses, key=lambda mask: prediction.memory[mask.name] is not outputs[0]
    )
    return replace(prediction, hypotheses=tuple(most_similar_first), presence=presence)


def _most_similar(outputs: list[DecoderOutput], memory: MemoryBank) -> list[DecoderOutput]:
    """Order outputs, first those whose mask is most like the last mask of the object."""

    def similarity(output: DecoderOutput) -> float:
        return _smoothed_iou(output.logits > 0, memory.cells > 0.5) ** 0.5

    return sorted(outputs, key=lambda output: -output.score * similarity(output))


def _smoothed_iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of one shape, with a pixel more in both; never 0."""
    shared = np.count_nonzero(mask & truth)
    return float((shared + 1) / (np.count_nonzero(mask | truth) + 1))


def _latest_trust(memory: MemoryBank, score: float) -> float:
    return LATEST_WEIGHT * score + (1 - LATEST_WEIGHT) * memory.trust


def _encode_memory(coarse: Tensor, mask: NDArray[np.float32]) -> Memory:
    """Return features (1, 64, 28, 28) and a mask (112, 112) of one crop as a memory."""
    share = F.avg_pool2d(torch.from_numpy(mask)[None, None], COARSE_STRIDE)
    return Memory(coarse, share.to(coarse.device))


def _first_memories(
    network: Network, pixels: NDArray[np.bool_], scale: float, pyramid: FeaturePyramid
) -> dict[float, Memory]:
    """Encode an object (H, W) on its scale, and on those next to it, since it may shrink."""
    extent = mask_extent(pixels)
    size = float((extent[2:] - extent[:2]).max())
    row, col = (extent[:2] + extent[2:]) / 2
    kept = [kept for kept in pyramid.scales if kept < ZOOM or size <= 2 * TINY_SIZE]
    crops = [Crop.around(row, col, near) for near in kept if scale / 2 <= near <= scale * 2]
    features = pyramid.cut_crops(network, crops).coarse
    return {
        crop.scale: _encode_memory(coarse[None], crop.cut_mask(pixels))
        for crop, coarse in zip(crops, features, strict=True)
    }


def _first_contrast(mask: NDArray[np.float32], crop: Crop, pyramid: FeaturePyramid) -> float:
    """Contrast of a mask (112, 112) of a crop, if the object stands out by its brightness."""
    inside = halved(mask) > 0.5
    contrast = contrast_of(inside, crop, pyramid)
    if abs(contrast) < LEAST_CONTRAST:
        return 0.0
    within, around = _brightness(inside, crop, pyramid)
    deviation = (within.std() + around.std()) / 2
    return contrast if abs(contrast) >= CLEAR_CONTRAST * deviation else 0.0


def _first_margin(network: Network, memory: MemoryBank, pyramid: FeaturePyramid) -> float:
    """Return how far out the first mask of an object is drawn, by decoding it on its own frame."""
    outputs = decode_queries(network, pyramid, [memory_query(memory)])[0]
    best = _most_similar(outputs, memory)[0]
    logits = ndimage.zoom(best.logits, 2, order=1, mode="nearest", grid_mode=True)
    fits = [_smoothed_iou(logits + margin > 0, memory.mask > 0.5) for margin in MARGINS]
    return float(MARGINS[np.argmax(np.round(fits, 2))])


def _brightness(
    inside: NDArray[np.bool_], crop: Crop, pyramid: FeaturePyramid
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Brightness of the cells inside a mask (56, 56), and of those around it."""
    near = ndimage.binary_dilation(inside, iterations=1 + RING)
    ring = near & ~ndimage.binary_dilation(inside)
    grey = _grey(crop, pyramid)
    is_on_image = ~np.isnan(grey)
    return grey[inside & is_on_image], grey[ring & is_on_image]


def _grey(crop: Crop, pyramid: FeaturePyramid) -> NDArray[np.float32]:
    """Brightness of a crop, (56, 56); NaN off the image."""
    grey = np.full((crop.side, crop.side), np.nan, np.float32)
    rows, cols = crop.on_image(pyramid.shape)
    pixels = pyramid.image[:, rows, cols].float().mean(0).cpu().numpy()
    grey[crop.from_origin(pyramid.shape)] = pixels
    step = crop.side // PLANE_SIDE
    return grey.reshape(PLANE_SIDE, step, PLANE_SIDE, step).mean((1, 3), dtype=np.float32)

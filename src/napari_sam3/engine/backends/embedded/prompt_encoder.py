"""The prompt encoder: prompts of one object become planes on crops of the feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....values import Box, Prompts
from .decoder_queries import PLANE_SIDE, DecoderOutput, DecoderQuery
from .feature_pyramid import ZOOM, Crop, FeaturePyramid

TYPICAL_SIZE = 36.0
"""The size at which an object is decoded, when it is known, in pixels of the level."""
CORRECTED_SIZE = 44.0
"""The same where its outline is corrected."""
LARGEST_SIZE = 88.0
"""The largest size an object may have on a crop, in pixels of the level."""
TINY_SIZE = 18.0
"""An object smaller than this, in pixels of the image, is decoded once more, enlarged."""
CLICK_MARGIN = 6.0
"""Free space between a click and the border of a crop, in pixels of the level."""
NARROW, WIDE = 2.5, 12.0
"""Radii of the two spots drawn for a click, in pixels."""

PromptPlanes = NDArray[np.float32]
"""(7, 56, 56): clicks inside narrow, wide; outside narrow, wide; box; previous logits; mask."""

CELL_CENTRES = np.arange(PLANE_SIDE, dtype=np.float32) * 2 + 0.5
"""(56,) middles of the cells of a plane, in pixels of the crop."""


def prompt_queries(
    prompts: Prompts, previous: DecoderOutput | None, pyramid: FeaturePyramid
) -> list[DecoderQuery]:
    """Return the queries of one object, on all levels on which it may be recognised.

    A previous output is corrected, but clicks alone are also decoded afresh: a first mask on the
    wrong level is hard to correct.
    """
    corrections = [] if previous is None else _corrections(prompts, previous, pyramid)
    if not has_extent(prompts):
        crops = crops_on_clicks(prompts, pyramid)
    else:
        crops = (
            [] if corrections else _two_crops(_with_clicks(extent_of(prompts), prompts), pyramid)
        )
    return corrections + [query_on(prompts, crop) for crop in crops]


def zoomed_query(
    prompts: Prompts, best: DecoderOutput, pyramid: FeaturePyramid
) -> DecoderQuery | None:
    """Return a query on the finest scale, where the best output is too small to be decoded well."""
    if has_extent(prompts) or best.size > TINY_SIZE or best.crop.scale == ZOOM or not best.size:
        return None
    clicks = prompts.points[prompts.positive]
    row, col = (clicks.min(0) + clicks.max(0)) / 2
    crop = Crop.around(row, col, ZOOM)
    return query_on(prompts, crop) if crop.contains(clicks, CLICK_MARGIN) else None


def query_on(prompts: Prompts, crop: Crop, previous: DecoderOutput | None = None) -> DecoderQuery:
    """Return the query of one object on a crop, with the logits of a previous output if any."""
    planes = encode_prompts(
        [(row, col) for row, col in crop.points(prompts.points)],
        prompts.positive.tolist(),
        crop.box(extent_of(prompts)) if len(prompts.boxes) else None,
        None if previous is None else previous.logits_on(crop),
        None if prompts.mask is None else crop.cut_mask(prompts.mask),
    )
    return DecoderQuery(crop, planes)


def encode_prompts(
    points: Sequence[tuple[float, float]] = (),
    positive: Sequence[bool] = (),
    box: tuple[float, float, float, float] | None = None,
    previous_logits: NDArray[np.floating] | None = None,
    mask: NDArray[np.bool_ | np.floating] | None = None,
) -> PromptPlanes:
    """Draw all prompts on one crop.

    Parameters
    ----------
    points : clicks, (row, col).
    positive : for every click, whether it lies inside the object.
    box : row0, col0, row1, col1 of its edges: around pixels 3..7 they are 2.5 and 7.5.
    previous_logits : (56, 56) the mask hypothesis that these prompts correct.
    mask : (112, 112) the object, or a rough outline of it, on the pixels of the crop.

    Returns
    -------
    (7, 56, 56): clicks inside narrow, wide; outside narrow, wide; box; previous logits; mask.
    """
    planes = np.zeros((7, PLANE_SIDE, PLANE_SIDE), np.float32)
    for point, is_positive in zip(points, positive, strict=True):
        add_click(planes, point, is_positive)
    if box is not None:
        planes[4] = _box_plane(box)
    if previous_logits is not None:
        planes[5] = np.tanh(previous_logits / 4)
    if mask is not None:
        planes[6] = halved(mask) * 2 - 1
    return planes


def add_click(planes: PromptPlanes, point: tuple[float, float], is_positive: bool) -> None:
    """Draw a further click into `planes`, in place."""
    row, col = point
    squared = (CELL_CENTRES[:, None] - row) ** 2 + (CELL_CENTRES - col) ** 2
    first = 0 if is_positive else 2
    for plane, radius in zip(planes[first : first + 2], (NARROW, WIDE), strict=True):
        np.maximum(plane, np.exp(-squared / (2 * radius**2)), out=plane)


def halved(mask: NDArray[np.bool_ | np.floating]) -> NDArray[np.float32]:
    """Average `mask` over 2 x 2 pixels."""
    rows, cols = mask.shape
    blocks = mask.astype(np.float32).reshape(rows // 2, 2, cols // 2, 2)
    return blocks.mean((1, 3), dtype=np.float32)


def crops_around(
    box: NDArray[np.float64], pyramid: FeaturePyramid, size: float = TYPICAL_SIZE
) -> list[Crop]:
    """Return crops around a box (4,) of the image, first where it is nearest to this size.

    The finest scale is encoded on demand: it is for what is tiny, or decoded larger than usual.
    """
    row, col = (box[:2] + box[2:]) / 2
    extent = float((box[2:] - box[:2]).max())
    takes_zoom = extent <= TINY_SIZE or size > TYPICAL_SIZE
    scales = [scale for scale in pyramid.scales if takes_zoom or scale < ZOOM]
    scales = [scale for scale in scales if extent * scale <= LARGEST_SIZE] or pyramid.scales[-1:]
    scales = sorted(scales, key=lambda scale: abs(np.log(max(extent, 1) * scale / size)))
    return [Crop.around(row, col, scale) for scale in scales]


def crops_on_clicks(prompts: Prompts, pyramid: FeaturePyramid) -> list[Crop]:
    """Return a crop around the positive clicks on every kept level on which they fit into one."""
    clicks = prompts.points[prompts.positive]
    row, col = (clicks.min(0) + clicks.max(0)) / 2
    crops = [Crop.around(row, col, level.scale) for level in pyramid.levels]
    return [crop for crop in crops if crop.contains(clicks, CLICK_MARGIN)] or crops[-1:]


def has_extent(prompts: Prompts) -> bool:
    """Tell whether the prompts say how large the object is."""
    return len(prompts.boxes) > 0 or prompts.mask is not None


def extent_of(prompts: Prompts) -> NDArray[np.float64]:
    """Return the box (4,) around all boxes, or around the mask."""
    if len(prompts.boxes):
        return np.concatenate([prompts.boxes[:, :2].min(0), prompts.boxes[:, 2:].max(0)])
    return mask_extent(np.asarray(prompts.mask))


def mask_extent(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the box (4,) around a mask, (H, W)."""
    return np.array(Box.around(mask)) - 0.5


def _corrections(
    prompts: Prompts, previous: DecoderOutput, pyramid: FeaturePyramid
) -> list[DecoderQuery]:
    if np.isnan(previous.box).any():
        return []
    crops = crops_around(_with_clicks(previous.box, prompts), pyramid, CORRECTED_SIZE)
    return [query_on(prompts, crops[0], previous)]


def _two_crops(box: NDArray[np.float64], pyramid: FeaturePyramid) -> list[Crop]:
    """Return crops around a box (4,) on the scale that suits it best and on the next kept scale."""
    first, *further = crops_around(box, pyramid)
    return [first, *[crop for crop in further if crop.scale != ZOOM][:1]]


def _with_clicks(box: NDArray[np.float64], prompts: Prompts) -> NDArray[np.float64]:
    """Return the box (4,) around a box and all positive clicks."""
    clicks = prompts.points[prompts.positive]
    return np.concatenate(
        [np.vstack([box[:2], clicks]).min(0), np.vstack([box[2:], clicks]).max(0)]
    )


def _box_plane(box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    row0, col0, row1, col1 = box
    rows = _soft_inside(row0, row1)
    cols = _soft_inside(col0, col1)
    return np.asarray(rows[:, None] * cols, np.float32)


def _soft_inside(start: float, stop: float) -> NDArray[np.float32]:
    depth = np.clip(np.minimum(CELL_CENTRES - start, stop - CELL_CENTRES), -8, 8)
    return np.asarray(1 / (1 + np.exp(-depth)), np.float32)

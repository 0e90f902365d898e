"""Operations on label images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Labels = npt.NDArray[np.int32]
"""(H, W), 0 is background, every object has a value of its own."""
Pixels = npt.NDArray[np.bool_]
"""(H, W), the pixels of an object."""
Distance = npt.NDArray[np.float32]
"""(H, W), in pixels or as a share."""


def boundaries(labels: Labels) -> Pixels:
    """Mark both sides of every change of label."""
    edges = np.zeros(labels.shape, bool)
    rows = labels[1:] != labels[:-1]
    cols = labels[:, 1:] != labels[:, :-1]
    edges[1:] |= rows
    edges[:-1] |= rows
    edges[:, 1:] |= cols
    edges[:, :-1] |= cols
    return edges


def distance_inside(mask: Pixels) -> Distance:
    """Return the distance to the nearest pixel outside; beyond the image all is outside."""
    padded = ndimage.distance_transform_edt(np.pad(mask, 1))
    return np.asarray(padded[1:-1, 1:-1], np.float32)


def relabelled(labels: Labels, min_area: int) -> Labels:
    """Keep the largest component of every object, drop small objects, number the rest."""
    return numbered(cleaned(labels, min_area))


def cleaned(labels: Labels, min_area: int) -> Labels:
    """Keep the largest component of every object, and drop small objects."""
    kept = np.zeros(labels.shape, np.int32)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            mask = largest_component(labels[box] == label)
            kept[box][mask] = label if mask.sum() >= min_area else 0
    return kept


def numbered(labels: Labels) -> Labels:
    """Give the objects of all frames values from 1 to 250, and drop any further objects."""
    values = np.unique(labels[labels > 0])
    new = np.searchsorted(values, labels) + 1
    return np.where((labels > 0) & (new <= 250), new, 0).astype(np.int32)


def largest_component(mask: Pixels) -> Pixels:
    """Keep the largest connected component of a mask."""
    components, count = ndimage.label(mask)
    if count < 2:
        return mask
    kept: Pixels = components == np.bincount(components.ravel())[1:].argmax() + 1
    return kept


def centre_distance(labels: Labels) -> Distance:
    """Return the depth inside each object: 0 outside and at the edge, 1 where it is deepest."""
    edges = boundaries(np.pad(labels, 1))
    depth = ndimage.distance_transform_edt(~edges)[1:-1, 1:-1] + 0.5
    depth = np.where(labels > 0, depth, 0)
    deepest = np.asarray(ndimage.maximum(depth, labels, np.arange(labels.max() + 1)))
    return np.asarray(depth / np.maximum(deepest, 1)[labels], np.float32)


def offset_outlines(labels: Labels, margin: int) -> Labels:
    """Move all outlines by `margin` pixels outwards, or inwards if negative."""
    if margin > 0:
        away, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
        return np.asarray(np.where(away <= margin, labels[tuple(nearest)], 0), np.int32)
    if margin < 0:
        from_edge = ndimage.distance_transform_edt(~boundaries(labels))
        shrunk = np.where(from_edge >= -margin, labels, 0)
        large = np.bincount(labels.ravel(), minlength=256) > 120
        return np.asarray(np.where(large[labels], shrunk, labels), np.int32)
    return labels

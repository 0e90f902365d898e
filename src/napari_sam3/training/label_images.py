"""Arithmetic on label pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Distance = npt.NDArray[np.float32]


def boundaries(labels: Labels) -> Mask:
    """Mark both sides of every change of label."""
    edge = np.zeros(labels.shape, bool)
    rows = labels[1:] != labels[:-1]
    cols = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= rows
    edge[:-1] |= rows
    edge[:, 1:] |= cols
    edge[:, :-1] |= cols
    return edge


def distance_inside(mask: Mask) -> Distance:
    """Distance to the nearest pixel outside, counting all beyond the picture as outside."""
    padded = ndimage.distance_transform_edt(np.pad(mask, 1))
    return np.asarray(padded[1:-1, 1:-1], np.float32)


def relabelled(labels: Labels, smallest: int) -> Labels:
    """Keep the largest piece of every object, drop small ones, number the rest up to 250."""
    return numbered(tidied(labels, smallest))


def tidied(labels: Labels, smallest: int) -> Labels:
    """Keep the largest piece of every object, and drop small ones."""
    kept = np.zeros(labels.shape, np.int32)
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is not None:
            mask = largest_piece(labels[place] == number)
            kept[place][mask] = number if mask.sum() >= smallest else 0
    return kept


def numbered(labels: Labels) -> Labels:
    """Give the objects of one or more frames numbers from 1 to 250, and drop the others."""
    numbers = np.unique(labels[labels > 0])
    new = np.searchsorted(numbers, labels) + 1
    return np.where((labels > 0) & (new <= 250), new, 0).astype(np.int32)


def largest_piece(mask: Mask) -> Mask:
    """Keep the largest connected piece of `mask`."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    kept: Mask = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    return kept


def centre_distance(labels: Labels) -> Distance:
    """Depth inside each object: 0 outside and at the edge, 1 where it is deepest."""
    edge = boundaries(np.pad(labels, 1))
    depth = ndimage.distance_transform_edt(~edge)[1:-1, 1:-1] + 0.5
    depth = np.where(labels > 0, depth, 0)
    deepest = np.asarray(ndimage.maximum(depth, labels, np.arange(labels.max() + 1)))
    return np.asarray(depth / np.maximum(deepest, 1)[labels], np.float32)


def redrawn(labels: Labels, margin: int) -> Labels:
    """Follow another labelling habit: outlines `margin` pixels further out, or in if negative."""
    if margin > 0:
        away, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
        return np.asarray(np.where(away <= margin, labels[tuple(nearest)], 0), np.int32)
    if margin < 0:
        from_edge = ndimage.distance_transform_edt(~boundaries(labels))
        shrunk = np.where(from_edge >= -margin, labels, 0)
        large = np.bincount(labels.ravel(), minlength=256) > 120
        return np.asarray(np.where(large[labels], shrunk, labels), np.int32)
    return labels

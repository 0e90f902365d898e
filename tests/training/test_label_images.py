from __future__ import annotations

import numpy as np

from napari_sam3.training.label_images import (
    boundaries,
    centre_distance,
    distance_inside,
    largest_component,
    offset_outlines,
    relabelled,
)


def square(side: int = 20, label: int = 1) -> np.ndarray:
    labels = np.zeros((40, 40), np.int32)
    labels[10 : 10 + side, 10 : 10 + side] = label
    return labels


def test_both_sides_of_an_edge_are_boundary():
    edge = boundaries(square())

    assert edge[9, 15]
    assert edge[10, 15]
    assert not edge[11, 15]


def test_the_border_of_the_image_is_outside():
    depth = distance_inside(np.ones((5, 5), bool))

    assert depth[0, 0] == 1
    assert depth[2, 2] == 3


def test_relabelling_keeps_the_largest_component_of_each_object():
    labels = square(label=7)
    labels[0:3, 0:4] = 7

    kept = relabelled(labels, min_area=5)

    assert kept.max() == 1
    assert not kept[0:3, 0:4].any()


def test_relabelling_drops_small_objects():
    assert not relabelled(square(side=3), min_area=10).any()


def test_an_empty_mask_has_no_largest_component():
    assert not largest_component(np.zeros((4, 4), bool)).any()


def test_depth_is_one_in_the_middle_of_every_object():
    labels = square(side=9)
    labels[30:35, 30:35] = 2

    depth = centre_distance(labels)

    assert depth[14, 14] == 1
    assert depth[32, 32] == 1
    assert depth[0, 0] == 0


def test_offset_outlines_lie_further_out_or_in():
    labels = square()

    assert (offset_outlines(labels, 1) > 0).sum() > 20 * 20
    assert (offset_outlines(labels, -1) > 0).sum() == 18 * 18
    assert (offset_outlines(labels, 0) == labels).all()


def test_small_objects_are_never_shrunk():
    labels = square(side=6)

    assert (offset_outlines(labels, -1) == labels).all()

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image
from scipy import ndimage

from napari_sam3.samples import dividing_cells, timelapse, zstack
from napari_sam3.samples.mitosis import advance, scatter
from napari_sam3.samples.organoid import organoid


@pytest.mark.parametrize("provider", [zstack, timelapse])
def test_sample_opens_as_an_image_with_its_geometry(provider):
    ((data, settings, kind),) = provider()

    layer = Image(data, **settings)

    assert kind == "image"
    assert layer.ndim == 3
    assert layer.data.dtype == np.uint16
    assert "pixel" not in map(str, layer.units)


def test_zstack_is_anisotropic():
    ((_, settings, _),) = zstack()

    assert settings["scale"] == (2.0, 0.5, 0.5)
    assert settings["axis_labels"] == ("z", "y", "x")


def test_timelapse_has_minutes_along_its_frames():
    ((_, settings, _),) = timelapse()

    assert settings["axis_labels"] == ("t", "y", "x")
    assert settings["units"][0] == "minute"


@pytest.mark.parametrize("make", [organoid, dividing_cells])
def test_sample_is_always_the_same(make):
    first = make()
    again = make.__wrapped__()

    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)


@pytest.mark.parametrize("make", [organoid, dividing_cells])
def test_objects_are_brighter_than_their_surroundings(make):
    sample = make()
    frame = len(sample.image) // 2
    image, inside = sample.image[frame], sample.labels[frame] > 0
    around = ndimage.binary_dilation(inside, iterations=8) & ~inside

    assert np.median(image[inside]) > 1.5 * np.median(image[around])


@pytest.mark.parametrize("make", [organoid, dividing_cells])
def test_a_frame_has_many_objects(make):
    labels = make().labels

    assert len(np.unique(labels[len(labels) // 2])) > 20


def test_cells_divide_into_two_new_ones():
    labels = dividing_cells().labels
    alive = [set(np.unique(frame)) - {0} for frame in labels]

    assert len(alive[-1]) > len(alive[0])
    assert max(alive[-1]) > max(alive[0])
    assert alive[0] - alive[-1]


def test_cells_move_less_than_their_radius_from_frame_to_frame():
    first, second = dividing_cells().labels[:2]
    lasting = np.intersect1d(first[first > 0], second)
    before = np.array(ndimage.center_of_mass(first > 0, first, lasting))
    after = np.array(ndimage.center_of_mass(second > 0, second, lasting))

    assert np.hypot(*(after - before).T).max() < 8


def test_cells_keep_their_distance():
    rng = np.random.default_rng(3)
    cells = scatter(12, (256, 256), rng)

    for _ in range(10):
        cells = advance(cells, (256, 256), rng)

    centres = np.array([cell.centre for cell in cells if cell.condensation == 0])
    distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    assert distances[np.triu_indices(len(centres), 1)].min() > 9


def test_arrays_of_a_sample_are_read_only():
    sample = organoid()

    assert not sample.image.flags.writeable
    assert not sample.labels.flags.writeable

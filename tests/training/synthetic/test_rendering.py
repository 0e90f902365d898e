from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training.synthetic import appearance as colours
from napari_sam3.training.synthetic import appearance as looks
from napari_sam3.training.synthetic.movies import Change, next_scene
from napari_sam3.training.synthetic.rendering import LOOKS, choose_appearance, film, focused_on
from napari_sam3.training.synthetic.scenes import Scene, draw_scene

EVERY_LOOK = sorted({look for several in LOOKS.values() for look in several}, key=repr)


@pytest.fixture
def scene() -> Scene:
    """A cell with a nucleus, and one without."""
    labels = np.zeros((96, 96), np.int32)
    labels[20:50, 30:60] = 1
    labels[60:80, 50:70] = 2
    nested = np.where(np.indices((96, 96)).max(0) < 42, labels, 0).astype(np.int32)
    return Scene("blob", 12, labels, nested)


@pytest.mark.parametrize("look", EVERY_LOOK)
def test_every_look_shows_the_objects(scene, look):
    (picture,) = film(np.random.default_rng(0), [scene], look)

    assert picture.shape == (3, 96, 96)
    assert np.isfinite(picture).all()
    assert picture.std() > 0.02


def test_a_scene_looks_alike_on_both_frames(scene):
    still = next_scene(np.random.default_rng(0), scene, Change(0, 0, 0, 0, 0, 0, 0))

    films = [film(np.random.default_rng(s), [scene, still], looks.fluorescence) for s in range(5)]

    alike = [np.corrcoef(first.ravel(), second.ravel())[0, 1] for first, second in films]
    assert np.median(alike) > 0.8


def test_sections_are_coloured_and_plain_looks_are_grey(scene):
    rng = np.random.default_rng(0)

    (section,) = film(rng, [scene], colours.section)
    (phase,) = film(rng, [scene], looks.phase)

    assert np.abs(section[0] - section[1]).max() > 0.1
    assert np.abs(phase[0] - phase[1]).max() < 1e-6


def test_a_nuclear_stain_makes_the_nuclei_the_objects(scene):
    (focused,) = focused_on(colours.section, [scene])

    assert (focused.labels == scene.nested).all()
    assert focused_on(looks.phase, [scene]) == [scene]


def test_there_is_a_look_for_every_scene():
    rng = np.random.default_rng(0)

    for _ in range(10):
        look = choose_appearance(rng, draw_scene(rng, 96).kind)
        assert callable(look)

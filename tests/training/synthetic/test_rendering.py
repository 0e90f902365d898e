from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.training.synthetic.appearance import fluorescence, phase, section
from napari_sam3.training.synthetic.movies import Change, next_scene
from napari_sam3.training.synthetic.rendering import (
    MODALITIES,
    draw_modality,
    render_frames,
    stained_objects,
)
from napari_sam3.training.synthetic.scenes import Scene, draw_scene

EVERY_MODALITY = sorted({each for kind in MODALITIES.values() for each in kind}, key=repr)


@pytest.fixture
def scene() -> Scene:
    """A cell with a nucleus, and a cell without."""
    labels = np.zeros((96, 96), np.int32)
    labels[20:50, 30:60] = 1
    labels[60:80, 50:70] = 2
    nested = np.where(np.indices((96, 96)).max(0) < 42, labels, 0).astype(np.int32)
    return Scene("blob", 12, labels, nested)


@pytest.mark.parametrize("modality", EVERY_MODALITY)
def test_every_modality_shows_the_objects(scene, modality):
    (image,) = render_frames(np.random.default_rng(0), [scene], modality)

    assert image.shape == (3, 96, 96)
    assert np.isfinite(image).all()
    assert image.std() > 0.02


def test_a_scene_has_the_same_appearance_on_both_frames(scene):
    still = next_scene(np.random.default_rng(0), scene, Change(0, 0, 0, 0, 0, 0, 0))

    movies = [
        render_frames(np.random.default_rng(s), [scene, still], fluorescence) for s in range(5)
    ]

    correlations = [np.corrcoef(first.ravel(), second.ravel())[0, 1] for first, second in movies]
    assert np.median(correlations) > 0.8


def test_sections_are_coloured_and_phase_contrast_is_grey(scene):
    rng = np.random.default_rng(0)

    (coloured,) = render_frames(rng, [scene], section)
    (grey,) = render_frames(rng, [scene], phase)

    assert np.abs(coloured[0] - coloured[1]).max() > 0.1
    assert np.abs(grey[0] - grey[1]).max() < 1e-6


def test_a_nuclear_stain_makes_the_nuclei_the_objects(scene):
    (stained,) = stained_objects(section, [scene])

    assert (stained.labels == scene.nested).all()
    assert stained_objects(phase, [scene]) == [scene]


def test_there_is_a_modality_for_every_scene():
    rng = np.random.default_rng(0)

    for _ in range(10):
        modality = draw_modality(rng, draw_scene(rng, 96).kind)
        assert callable(modality)
